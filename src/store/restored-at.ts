/** The setting that says when this database was restored last, ms. */
export const RESTORED_AT = 'restore.at';
