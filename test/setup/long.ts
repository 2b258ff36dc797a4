/** AUTHSERVER_FAULTS=long: there is time, so that every count is raised and every story runs on both engines. */
export const isLong = process.env['AUTHSERVER_FAULTS'] === 'long';
