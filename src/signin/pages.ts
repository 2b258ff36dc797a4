import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Eta } from 'eta';
import { paths } from '../flow/paths.ts';
import { stylePath } from './style.ts';

const folder = path.join(import.meta.dirname, 'pages');

/** What every page can be told beside its own content. */
export interface Frame {
  /** The name of the window; the product's name follows it. */
  readonly title: string;
  /** Who is signed in, shown at the top with the way out. */
  readonly username?: string;
  /** A wider column, for lists. */
  readonly wide?: boolean;
}

/** The templates of `pages/`, compiled once. Everything in them is escaped unless they say otherwise. */
export class Pages {
  readonly #eta: Eta;
  readonly #site: Readonly<Record<string, unknown>>;

  constructor(options: { prefix: string; productName: string }) {
    this.#eta = new Eta({ autoEscape: true, cache: true });
    this.#site = {
      productName: options.productName,
      style: options.prefix + stylePath,
      link: (to: keyof typeof paths) => options.prefix + paths[to],
    };
    for (const file of readdirSync(folder)) {
      if (!file.endsWith('.eta')) continue;
      this.#eta.loadTemplate(
        `@${path.basename(file, '.eta')}`,
        readFileSync(path.join(folder, file), 'utf8'),
      );
    }
  }

  /** HTML of one template of `pages/` inside the layout. */
  render(name: string, frame: Frame, content: Readonly<Record<string, unknown>> = {}): string {
    return this.#eta.render(`@${name}`, { ...this.#site, ...content, frame });
  }
}
