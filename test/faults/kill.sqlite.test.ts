import { provesKills } from './kills.ts';

provesKills({ name: 'sqlite' });
