/** What a turn met whose agent could not work: a fact about the agent, told by the host that ran the turn. */
import * as z from 'zod';
import { unavailableKinds } from './types.ts';
import { beginningSchema } from './work.ts';

export const unavailableSchema = z.object({
  kind: z.enum(unavailableKinds),
  /** When it works again, in milliseconds since 1970, where the agent said so. */
  until: z.number().optional(),
  /** Its own words, short. */
  said: z.string(),
  /** True when it had begun to do something for the turn: then the prompt is not sent again. */
  begun: z.boolean(),
  /** Where the turn began; missing when it never had the prompt. */
  beginning: beginningSchema.optional(),
});
export type Unavailable = z.infer<typeof unavailableSchema>;
