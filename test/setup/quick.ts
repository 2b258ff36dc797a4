/** Settings that cost less than those of an installation, for tests of what lies around them. */
export const QUICK = {
  // Argon2id at its cheapest.
  AUTHSERVER_PASSWORD_MEMORY: '8MiB',
  AUTHSERVER_PASSWORD_PASSES: '1',
  // Half a minute after its first start a server would make a backup for the log to begin with, and try it.
  AUTHSERVER_RECOVERY_LOG: 'false',
  // Beside the other tests, threads that give way would have a tenth of a processor.
  AUTHSERVER_BACKUP_NICE: '0',
} as const;
