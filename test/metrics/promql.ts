// Owns PromQL as far as the tests read it: which metrics an expression names, with which labels. It is no parser; what it
// does not know is an error, so that a name with a slip in it does not pass for something else.

/** A selector of an expression, such as `up{job="x"}`. */
export interface Selector {
  readonly metric: string;
  readonly matchers: readonly { readonly label: string; readonly operator: string; readonly value: string }[];
}

export interface Expression {
  readonly selectors: readonly Selector[];
  /** Labels that something is grouped by. */
  readonly grouping: readonly string[];
}

const FUNCTIONS = new Set(
  'absent increase rate sum min max avg count topk histogram_quantile deriv label_values time clamp_min'.split(
    ' ',
  ),
);
const WORDS = new Set(['and', 'or', 'unless', 'on', 'ignoring', 'offset']);
const TOKEN =
  /\s*(?:("(?:[^"\\]|\\.)*")|(\[[^\]]*\])|([a-zA-Z_:][\w:]*)|(\d+(?:\.\d+)?(?:e[+-]?\d+)?)|(=~|!~|!=|==|>=|<=|[-+*/%^(){},=<>]))/y;

export function readExpression(text: string): Expression {
  const tokens = tokenize(text);
  const selectors: Selector[] = [];
  const grouping: string[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at] as string;
    if (!/^[a-zA-Z_:]/.test(token)) continue;
    if (token === 'by' || token === 'without') {
      const end = tokens.indexOf(')', at);
      grouping.push(...tokens.slice(at + 2, end).filter((each) => each !== ','));
      at = end;
    } else if (FUNCTIONS.has(token) && tokens.slice(at + 1).find((each) => each !== '') !== undefined) {
      if (!['(', 'by', 'without'].includes(tokens[at + 1] ?? ''))
        throw new Error(`${token} without (: ${text}`);
    } else if (!WORDS.has(token)) {
      const end = tokens[at + 1] === '{' ? tokens.indexOf('}', at) : at;
      selectors.push({ metric: token, matchers: readMatchers(tokens.slice(at + 2, end), text) });
      at = end;
    }
  }
  if (selectors.length === 0) throw new Error(`no metric in ${text}`);
  return { selectors, grouping };
}

function readMatchers(tokens: readonly string[], text: string): Selector['matchers'] {
  const matchers: { label: string; operator: string; value: string }[] = [];
  for (let at = 0; at < tokens.length; at += 4) {
    const [label = '', operator = '', value = '', comma = ','] = tokens.slice(at, at + 4);
    if (label === '' || operator === '' || !value.startsWith('"') || comma !== ',')
      throw new Error(`matchers in ${text}`);
    matchers.push({ label, operator, value: JSON.parse(value) as string });
  }
  return matchers;
}

function tokenize(text: string): string[] {
  const tokens: string[] = [];
  const source = text.trimEnd();
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < source.length) {
    const from = TOKEN.lastIndex;
    const found = TOKEN.exec(source);
    if (!found) throw new Error(`cannot read "${source.slice(from)}"`);
    // A range says nothing about names.
    if (found[2] === undefined) tokens.push(found[0].trim());
  }
  return tokens;
}
