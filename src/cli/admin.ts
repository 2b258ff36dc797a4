import { adminApiKeyCommands } from './admin-api-key.ts';
import { adminClientCommands } from './admin-client.ts';
import { adminInitialAccessTokenCommands } from './admin-initial-access-token.ts';
import { adminKeyCommands } from './admin-key.ts';
import { adminResourceCommands } from './admin-resource.ts';
import { adminUserCommands } from './admin-user.ts';
import type { Command } from './command.ts';

export const adminCommands: readonly Command[] = [
  ...adminUserCommands,
  ...adminClientCommands,
  ...adminResourceCommands,
  ...adminKeyCommands,
  ...adminApiKeyCommands,
  ...adminInitialAccessTokenCommands,
];
