/** Code points that show nothing, turn text round or break the line, and the letters and signs that are drawn blank. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/u;

/**
 * Emoji of several code points hold joiners and selectors; whole, they are one sign that everybody sees. Spelled out here,
 * because `\p{RGI_Emoji}` costs every start of the server 36 ms.
 */
const EMOJI =
  /\p{Extended_Pictographic}(?:\p{Emoji_Modifier}|\ufe0f|\u200d\p{Extended_Pictographic})*|[0-9#*]\ufe0f?\u20e3/gu;

const SEEN = /[\p{L}\p{N}\p{P}\p{S}]/u;

/**
 * Why a client cannot go by this name, as the end of a sentence; undefined when it can. People decide by the name on the
 * consent page, so what they see of it must be all there is. Empty is no name, and then the id stands in.
 */
export function clientNameFault(name: string): string | undefined {
  if (name === '') return undefined;
  const text = name.replaceAll(EMOJI, '!');
  if (UNSEEN.test(text)) return 'must not have control, formatting or invisible characters';
  if (!SEEN.test(text)) return 'must have a visible character: a letter, a digit or a sign';
  return undefined;
}
