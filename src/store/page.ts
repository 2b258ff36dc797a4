/** One page of a list in id order: rows after `after`, at most `limit`. */
export interface Page {
  readonly after: string;
  readonly limit: number;
}
