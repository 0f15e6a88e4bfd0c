/** The page's side of the messages: checked, with answers to requests as promises. */
import { type Request, type ToHost, type ToView, toViewSchema } from '../protocol.ts';

interface VsCodeApi {
  postMessage(message: unknown): void;
  getState(): unknown;
  setState(state: unknown): void;
}
declare function acquireVsCodeApi(): VsCodeApi;

const api = acquireVsCodeApi();
const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
let lastRequest = 0;

export function send(
  message: Extract<ToHost, { type: 'ready' | 'resync' | 'scope' | 'open' | 'close' | 'draftFiles' | 'seen' }>,
): void {
  api.postMessage(message);
}

/** Rejects with words for people. */
export function request<T = unknown>(message: Request): Promise<T> {
  lastRequest += 1;
  const requestId = lastRequest;
  return new Promise<T>((resolve, reject) => {
    waiting.set(requestId, { resolve: resolve as (value: unknown) => void, reject });
    api.postMessage({ ...message, requestId });
  });
}

export function onMessage(listener: (message: Exclude<ToView, { type: 'result' }>) => void): void {
  window.addEventListener('message', (event: MessageEvent<unknown>) => {
    const parsed = toViewSchema.safeParse(event.data);
    if (!parsed.success) return console.error('Branchline: a message is not understood', parsed.error);
    const message = parsed.data;
    if (message.type !== 'result') return listener(message);
    const one = waiting.get(message.requestId);
    waiting.delete(message.requestId);
    if (message.error !== null) one?.reject(new Error(message.error));
    else one?.resolve(message.value);
    return undefined;
  });
}

export const readState = <T>(): T | undefined => api.getState() as T | undefined;
/** Keeps these besides what is kept already. */
export const keepState = (part: object): void => api.setState({ ...readState<object>(), ...part });
