/** Where a person goes after signing out because an application asked for it. */
export interface PostLogout {
  readonly uri: string;
  /** Who asked. */
  readonly clientName: string;
}
