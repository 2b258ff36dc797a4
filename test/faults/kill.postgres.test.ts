import { provesKills } from './kills.ts';

provesKills({ name: 'postgres' });
