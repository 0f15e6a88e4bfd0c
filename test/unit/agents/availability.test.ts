import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isConversationGone } from '../../../src/agents/availability/conversationGone.ts';
import { nextWait } from '../../../src/agents/availability/nextWait.ts';
import { codes, gone, sayings } from '../../../src/agents/availability/patterns.ts';
import { timeInWords } from '../../../src/agents/availability/times.ts';
import {
  longestWait,
  shortestWait,
  unavailableByError,
  unavailableByLastText,
} from '../../../src/agents/availability/unavailable.ts';
import { momentsOf, wallTimeAt } from '../../../src/agents/availability/zones.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const at = (iso: string): number => Date.parse(iso);
/** 01:00 in Seoul, noon in New York. */
const now = at('2026-08-13T16:00:00Z');
const clock = { now, zone: 'America/New_York' };

/** `until` as it is told: an ISO moment, milliseconds from now, or undefined. */
type Expected = { kind: 'limit' | 'signIn' | 'offline'; until?: string | number };
const moment = (until: string | number | undefined) =>
  typeof until === 'string' ? at(until) : until === undefined ? undefined : now + until;

describe('An agent that can not work now', () => {
  describe('says so as the last words of its turn (W1)', () => {
    const spoken: [string, Expected][] = [
      ["You've hit your session limit · resets 3:10am (Asia/Seoul)", { kind: 'limit', until: '2026-08-13T18:10:00Z' }],
      ["You've hit your session limit · resets 3pm (America/Bogota)", { kind: 'limit', until: '2026-08-13T20:00:00Z' }],
      ["You've hit your session limit · resets 12:50am (Europe/Berlin)", { kind: 'limit', until: '2026-08-13T22:50:00Z' }],
      ['You’ve hit your session limit · resets 1am (Asia/Singapore)', { kind: 'limit', until: '2026-08-13T17:00:00Z' }],
      ["You've hit your limit · resets Aug 20 at 4pm (America/Recife)", { kind: 'limit', until: '2026-08-20T19:00:00Z' }],
      [
        "You've hit your weekly limit · resets Aug 16, 5:59am (America/Los_Angeles)",
        { kind: 'limit', until: '2026-08-16T12:59:00Z' },
      ],
      ["You've hit your Opus limit · resets 10pm", { kind: 'limit', until: '2026-08-14T02:00:00Z' }],
      ["You've hit your org's monthly usage limit", { kind: 'limit' }],
      [
        'Weekly limit reached · resets 10am (Asia/Seoul) · /upgrade to Max or turn on /extra-usage',
        { kind: 'limit', until: '2026-08-14T01:00:00Z' },
      ],
      ['Opus weekly limit reached ∙ resets Aug 20', { kind: 'limit', until: '2026-08-20T04:00:00Z' }],
      ['Opus weekly limit reached ∙ resets Aug 20, 9am', { kind: 'limit', until: '2026-08-20T13:00:00Z' }],
      [
        '5-hour limit reached ∙ resets 3pm\n     /upgrade to increase your usage limit.',
        { kind: 'limit', until: '2026-08-13T19:00:00Z' },
      ],
      [`Claude AI usage limit reached|${at('2026-08-13T21:00:00Z') / 1_000}`, { kind: 'limit', until: '2026-08-13T21:00:00Z' }],
      [
        "You've hit your session limit · resets 10:30pm (Europe/Berlin)\n/login to switch to an API usage-billed account.",
        { kind: 'limit', until: '2026-08-13T20:30:00Z' },
      ],
      [
        "I'll look at the tests next.You've hit your session limit · resets 3:10am (Asia/Seoul)",
        { kind: 'limit', until: '2026-08-13T18:10:00Z' },
      ],
      [
        "The parser is done.\n\nYou've hit your session limit · resets 3:10am (Asia/Seoul)",
        { kind: 'limit', until: '2026-08-13T18:10:00Z' },
      ],
      [
        "\u001b[31m⎿ You've hit your limit\u001b[0m · resets 8pm (Europe/Berlin)",
        { kind: 'limit', until: '2026-08-13T18:00:00Z' },
      ],
      ['Credit balance is too low', { kind: 'limit' }],
      [
        "You've hit your usage limit. Upgrade to Pro (https://chatgpt.com/explore/pro), visit https://chatgpt.com/codex/settings/usage to purchase more credits or try again at Aug 20, 2026, 7:38 AM.",
        { kind: 'limit', until: '2026-08-20T11:38:00Z' },
      ],
      [
        "You've hit your usage limit. To get more access now, send a request to your admin or try again at Aug 14th, 2026 4:13 PM.",
        { kind: 'limit', until: '2026-08-14T20:13:00Z' },
      ],
      ["You've hit your usage limit. Try again at 4:13 PM.", { kind: 'limit', until: '2026-08-13T20:13:00Z' }],
      ["You've hit your usage limit. Try again at 4:13\u202fPM.", { kind: 'limit', until: '2026-08-13T20:13:00Z' }],
      [
        "■ You've hit your usage limit. Upgrade to Pro (https://openai.com/chatgpt/pricing) or try again in 5 days 22 hours 11 minutes.",
        { kind: 'limit', until: 5 * day + 22 * hour + 11 * minute },
      ],
      ["You've hit your usage limit. Try again in 3 days 4 hours.", { kind: 'limit', until: 3 * day + 4 * hour }],
      [
        "You've hit your usage limit. Upgrade to Pro, or wait for limits to reset (every 5h and every week.).",
        { kind: 'limit', until: hour },
      ],
      ["You've hit your usage limit. Try again later.", { kind: 'limit', until: hour }],
      [
        "You've hit your usage limit for GPT-5.6. Switch to another model now, or try again at Aug 15th, 2026 1:05 AM.",
        { kind: 'limit', until: '2026-08-15T05:05:00Z' },
      ],
      [
        "You've hit your usage limit. Upgrade your plan to continue, or try again at 15 de ago. de 2026, 11:52.",
        { kind: 'limit', until: '2026-08-15T15:52:00Z' },
      ],
      ["You've hit your usage limit. Try again at 15.08.2026, 07:38.", { kind: 'limit', until: '2026-08-15T11:38:00Z' }],
      ["You've hit your usage limit. Try again at 15 août 2026 à 07:38.", { kind: 'limit', until: '2026-08-15T11:38:00Z' }],
      ["You've hit your usage limit. Try again at 2026年8月15日 7:38.", { kind: 'limit', until: '2026-08-15T11:38:00Z' }],
      [
        'Your workspace is out of credits. Ask your workspace owner to refill in order to continue.',
        { kind: 'limit', until: hour },
      ],
      [
        'You hit your spend cap set by the owner of your workspace. Ask an owner to increase your spend cap to continue.',
        { kind: 'limit', until: hour },
      ],
      [
        'stream disconnected before completion: error sending request for url (https://chatgpt.com/backend-api/codex/responses)',
        { kind: 'offline' },
      ],
      ['exceeded retry limit, last status: 429 Too Many Requests, request id: 9f1', { kind: 'limit' }],
      [
        'You have exhausted your capacity on this model. Your quota will reset after 8h44m7s.',
        { kind: 'limit', until: 8 * hour + 44 * minute + 7_000 },
      ],
      ['✕ [API Error: You have exhausted your daily quota on this model.]', { kind: 'limit', until: '2026-08-14T07:00:00Z' }],
      ['Free usage exceeded, subscribe to Go\nretrying in 6h16m - attempt #1', { kind: 'limit', until: 6 * hour + 16 * minute }],
      [
        "Sorry, you've hit a rate limit that restricts the number of Copilot model requests you can make within a specific time period. Please try again in 51 hours. Please review our Terms of Service (https://docs.github.com/x). (Request ID: AF08:1CC094)",
        { kind: 'limit', until: 51 * hour },
      ],
      [
        'Sorry, you have been rate-limited. Please wait 2 minutes before trying again or consider switching to Auto.',
        { kind: 'limit', until: 2 * minute },
      ],
      [
        "You've reached your weekly rate limit. Please wait for your limit to reset on August 15, 2026 at 2:00 AM or switch to auto model to continue.",
        { kind: 'limit', until: '2026-08-15T06:00:00Z' },
      ],
      ['API Error: 529 Overloaded. This is a server-side issue, usually temporary — try again in a moment.', { kind: 'limit' }],
      ['API Error: Repeated 529 Overloaded errors', { kind: 'limit' }],
      ['API Error (Request timed out) · Unable to connect to API (ECONNREFUSED)', { kind: 'offline' }],
      ['API Error: Unable to connect to API (ETIMEDOUT)', { kind: 'offline' }],
      ['Error: 429 Too Many Requests', { kind: 'limit' }],
      ['429 Too Many Requests', { kind: 'limit' }],
      ['Rate limit exceeded. Try again later.', { kind: 'limit' }],
      ['Overloaded', { kind: 'limit' }],
      ['fetch failed', { kind: 'offline' }],
      ['getaddrinfo ENOTFOUND api.anthropic.com', { kind: 'offline' }],
      ['connect ECONNREFUSED 127.0.0.1:443', { kind: 'offline' }],
      [
        "You've reached your usage limit. Your limit will reset at 7pm (America/New_York).",
        { kind: 'limit', until: '2026-08-13T23:00:00Z' },
      ],
      ["You've hit your GPT-5.6 limit. Try again in 2 h 5 min.", { kind: 'limit', until: 2 * hour + 5 * minute }],
      [
        'Rate limit reached for gpt-5 in organization org-x on tokens per min (TPM): Limit 30000. Please try again in 7m12s.',
        { kind: 'limit', until: 7 * minute + 12_000 },
      ],
      ['Individual quota reached. Upgrade your subscription. Resets in 3h21m.', { kind: 'limit', until: 3 * hour + 21 * minute }],
      ['Claude Opus 4 usage limit reached. Resets 3pm', { kind: 'limit', until: '2026-08-13T19:00:00Z' }],
      ['Not logged in · Please run /login', { kind: 'signIn' }],
      ['Invalid API key · Please run /login', { kind: 'signIn' }],
      ['Please run /login · API Error: 401 {"detail":"Invalid API key"}', { kind: 'signIn' }],
      [
        'API Error: 401 {"type":"error","error":{"type":"authentication_error","message":"OAuth token has expired. Please obtain a new token or refresh your existing token."}} · Please run /login',
        { kind: 'signIn' },
      ],
    ];
    for (const [text, { kind, until }] of spoken) {
      it(JSON.stringify(text).slice(0, 110), () => {
        const found = unavailableByLastText(text, clock);
        assert.equal(found?.kind, kind);
        assert.equal(found?.until, moment(until));
        assert.ok(found && found.said.length > 0 && found.said.length <= 300 && !found.said.includes('\n'));
      });
    }
  });

  describe('does not when it speaks of limits, or quotes them', () => {
    const silent: string[] = [
      '',
      'Done. All 14 tests pass.',
      'I added the sentence "You\'ve hit your session limit · resets 3pm (America/Bogota)" to the banner.',
      "The banner now reads:\n\n> You've hit your usage limit. Try again later.",
      "The banner now reads:\n\n```\nYou've hit your usage limit. Try again later.\n```",
      "~~~text\nYou've hit your usage limit. Try again later.\n~~~\nis what people see.",
      "It prints:\n\n    You've hit your usage limit. Try again later.",
      "`You've hit your usage limit. Try again later.`",
      "You've hit your usage limit is what the page says now.",
      "I've added the banner. It now reads:\n\nYou've hit your usage limit. Try again later.\n\nThe tests pass.",
      'Rate limit exceeded errors are now handled: the client waits for Retry-After.',
      'The server answers 429 Too Many Requests once the limit is reached, and 401 Unauthorized without a token.',
      'I was rate limited while I called the API of GitHub, so I used the cache.',
      'Too many requests were sent by the loop; it now waits between them.',
      'Overloaded operators are gone.',
      'ECONNREFUSED is now met with a retry.',
      'Authentication required for the admin routes; the middleware is in src/auth.ts.',
      'Please log in with the new form to try it.',
      'You have used 90% of your weekly limit · resets Aug 20, 9am',
      'Approaching usage limit · resets at 7pm',
      'I added the guard:\n- Not logged in: redirect to /login\n- Logged in: show the page',
      "I've handled these cases:\n- Invalid API key: 401\n- Rate limit reached: 429",
      'The guard is there.\n\n**Not logged in**: users are redirected to /login.',
      'Invalid API key, expired tokens and revoked ones are told apart now.',
      'Usage limit reached: the banner is shown now, as you asked.',
      'Stream disconnected before completion: this case is retried now.',
      'The tests can not run here, the database is not up:\nconnect ECONNREFUSED 127.0.0.1:5432',
      'All tests pass but one.\nError: connect ECONNREFUSED ::1:5432',
      "You've hit your context limit. Use /compact.",
      'Context limit reached · /compact or /clear to continue',
      "The limits are documented now. A plan's usage limit resets each month.",
      `${'I looked at how limits are told. '.repeat(40)}\n\nYou've hit your session limit · resets 3pm (America/Bogota)`,
      `You've hit your session limit · resets 3pm (America/Bogota)\n\n${'That is what it says, and this is why. '.repeat(40)}`,
    ];
    for (const text of silent) {
      it(JSON.stringify(text).slice(0, 110), () => assert.equal(unavailableByLastText(text, clock), undefined));
    }
  });

  describe('says so as an error', () => {
    const answered: [string, unknown, Expected | undefined][] = [
      ['auth required', { code: -32000, message: 'Authentication required' }, { kind: 'signIn' }],
      [
        'auth required with words of its own',
        { code: -32000, message: 'Auth required: your session is over' },
        { kind: 'signIn' },
      ],
      ['the number alone', { code: -32000, message: 'Unavailable for this account' }, { kind: 'signIn' }],
      ['the number of another kind', { code: -32000, message: 'Connection closed' }, undefined],
      ['the number of a failure', { code: -32000, message: 'The model gave up' }, undefined],
      [
        'OpenCode wants a provider',
        { code: -32000, message: 'Authentication required: provider authentication required', data: { providerId: 'x' } },
        { kind: 'signIn' },
      ],
      [
        'a logged out Codex',
        { code: -32603, message: 'Internal error', data: 'You have been logged out. Please try again.' },
        { kind: 'signIn' },
      ],
      ['a token that ended', new Error('Provided authentication token is expired.'), { kind: 'signIn' }],
      ['no network', new TypeError('fetch failed: ETIMEDOUT'), { kind: 'offline' }],
      [
        'no network, as a cause',
        Object.assign(new TypeError('fetch failed'), {
          cause: { code: 'ENOTFOUND', message: 'getaddrinfo ENOTFOUND api.example' },
        }),
        { kind: 'offline' },
      ],
      [
        'no network, in data',
        { code: -32603, message: 'Internal error', data: { details: 'connect ECONNREFUSED 127.0.0.1:443' } },
        { kind: 'offline' },
      ],
      ['no names', { code: -32603, message: 'getaddrinfo EAI_AGAIN api.example' }, { kind: 'offline' }],
      ['no network while it signs in', { code: -32603, message: 'Failed to authenticate: fetch failed' }, { kind: 'offline' }],
      ['a program here that took too long', { code: -32603, message: 'spawnSync git ETIMEDOUT' }, undefined],
      [
        'Claude Code, as its adapter passes it on',
        { code: -32603, message: "Internal error: You've hit your session limit · resets 3:10am (Asia/Seoul)" },
        { kind: 'limit', until: '2026-08-13T18:10:00Z' },
      ],
      [
        'Claude Code, with JSON in it',
        {
          code: -32603,
          message:
            'Internal error: API Error: 429 {"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your account\'s rate limit. Please try again later."},"request_id":"req_1"}',
        },
        { kind: 'limit' },
      ],
      [
        'the API of Claude',
        {
          code: -32603,
          message:
            'Internal error: API Error: 400 {"error":{"type":"invalid_request_error","message":"You have reached your specified API usage limits. You will regain access on 2026-08-15 at 00:00 UTC."}}',
        },
        { kind: 'limit', until: '2026-08-15T00:00:00Z' },
      ],
      [
        'Codex, with a moment',
        {
          code: -32603,
          message: 'Internal error',
          data: {
            type: 'usage_limit_reached',
            message: 'The usage limit has been reached',
            resets_at: at('2026-08-14T03:00:00Z') / 1_000,
            resets_in_seconds: 39_600,
          },
        },
        { kind: 'limit', until: '2026-08-14T03:00:00Z' },
      ],
      [
        'Codex, with seconds',
        { code: -32603, message: 'Internal error', data: { error: { type: 'usage_limit_reached', resets_in_seconds: 13_872 } } },
        { kind: 'limit', until: 13_872_000 },
      ],
      [
        'Codex, with words',
        {
          code: -32603,
          message: 'Internal error',
          data: {
            message: "You've hit your usage limit. Try again at Aug 15th, 2026 1:05 AM.",
            codexErrorInfo: 'usageLimitExceeded',
          },
        },
        { kind: 'limit', until: '2026-08-15T05:05:00Z' },
      ],
      [
        'Codex, without any time',
        { code: -32603, message: 'Internal error', data: { message: 'Something is over', codexErrorInfo: 'usageLimitExceeded' } },
        { kind: 'limit', until: hour },
      ],
      [
        'Codex, its code as a key',
        {
          code: -32603,
          message: 'Internal error',
          data: { codexErrorInfo: { responseStreamDisconnected: { httpStatusCode: 429 } } },
        },
        { kind: 'limit' },
      ],
      [
        'Codex without its server',
        { code: -32603, message: 'Internal error', data: { codexErrorInfo: { httpConnectionFailed: { httpStatusCode: null } } } },
        { kind: 'offline' },
      ],
      [
        'Codex unauthorized',
        { code: -32603, message: 'Internal error', data: { codexErrorInfo: 'unauthorized', message: 'token' } },
        { kind: 'signIn' },
      ],
      ['Gemini CLI', { code: 429, message: 'Rate limit exceeded. Try again later.' }, { kind: 'limit' }],
      [
        'Gemini CLI, with a delay',
        {
          code: 429,
          message: 'Resource has been exhausted (e.g. check quota).',
          data: {
            error: {
              code: 429,
              status: 'RESOURCE_EXHAUSTED',
              details: [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '12s' }],
            },
          },
        },
        { kind: 'limit', until: minute },
      ],
      [
        'Gemini CLI, with a long delay',
        {
          code: -32603,
          message:
            '[{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"723.5s"}]}}]',
        },
        { kind: 'limit', until: 723_500 },
      ],
      [
        'Gemini CLI, JSON in JSON',
        {
          code: 500,
          message: JSON.stringify({
            error: {
              message: JSON.stringify({
                error: {
                  code: 429,
                  message: 'You exceeded your current quota, please check your plan.',
                  status: 'RESOURCE_EXHAUSTED',
                },
              }),
              code: 429,
            },
          }),
        },
        { kind: 'limit' },
      ],
      [
        "Gemini CLI, a day's quota, with the delay of a minute's",
        {
          code: 429,
          message: 'You exceeded your current quota',
          data: {
            error: {
              status: 'RESOURCE_EXHAUSTED',
              details: [
                { violations: [{ quotaId: 'GenerateRequestsPerDayPerProjectPerModel-FreeTier' }] },
                { retryDelay: '27s' },
              ],
            },
          },
        },
        { kind: 'limit', until: '2026-08-14T07:00:00Z' },
      ],
      [
        "Gemini CLI, a day's quota in words",
        {
          code: 429,
          message:
            "Quota exceeded for quota metric 'Gemini 2.5 Pro Requests' and limit 'Gemini 2.5 Pro Requests per day per user per tier' of service 'cloudcode-pa.googleapis.com'",
        },
        { kind: 'limit', until: '2026-08-14T07:00:00Z' },
      ],
      [
        'Gemini CLI, no room',
        { code: -32603, message: 'No capacity available for model gemini-3.1-pro-preview on the server' },
        { kind: 'limit' },
      ],
      [
        'OpenCode',
        {
          code: -32603,
          message: 'Internal error: 429',
          data: { errorName: 'APIError', statusCode: 429, responseHeaders: { 'retry-after': '73801' } },
        },
        { kind: 'limit', until: 73_801_000 },
      ],
      [
        'OpenCode, free usage',
        { code: -32603, message: '429: {"type":"FreeUsageLimitError","message":"Rate limit exceeded. Please try again later."}' },
        { kind: 'limit' },
      ],
      [
        'Copilot CLI',
        {
          code: -32603,
          message: 'x',
          data: { errorType: 'rate_limit', message: "Sorry, you've hit a rate limit. Please try again in 2 hours." },
        },
        { kind: 'limit', until: 2 * hour },
      ],
      [
        'Copilot CLI without quota',
        { code: -32603, message: '402 {"error":{"message":"You have no quota","code":"quota_exceeded"}}' },
        { kind: 'limit' },
      ],
      ['overloaded', { code: -32603, message: 'Overloaded' }, { kind: 'limit' }],
      [
        'a limit and a way to sign in',
        {
          code: 429,
          message:
            'Please wait and try again later. To increase your limits, use /auth to switch to a paid key. Resource exhausted.',
        },
        { kind: 'limit' },
      ],
      [
        'retryAfter in seconds',
        { code: -32603, message: 'Busy', data: { retryAfter: 120 } },
        { kind: 'limit', until: 2 * minute },
      ],
      [
        'retryAfter in milliseconds',
        { code: -32603, message: 'Busy', data: { retryAfter: 7_200_000 } },
        { kind: 'limit', until: 2 * hour },
      ],
      ['retry-after-ms', { code: -32603, message: 'Busy', data: { 'retry-after-ms': 90_000 } }, { kind: 'limit', until: 90_000 }],
      [
        'retryAfter as ISO',
        { code: -32603, message: 'Busy', data: { retryAfter: '2026-08-13T18:30:00+00:00' } },
        { kind: 'limit', until: '2026-08-13T18:30:00Z' },
      ],
      [
        'Retry-After as a date',
        { code: -32603, message: 'Busy', data: { headers: { 'Retry-After': 'Thu, 13 Aug 2026 18:30:00 GMT' } } },
        { kind: 'limit', until: '2026-08-13T18:30:00Z' },
      ],
      [
        'resetsAt as ISO',
        { code: -32603, message: 'Rate limited', data: { resetsAt: '2026-08-13T18:30:00.123Z' } },
        { kind: 'limit', until: '2026-08-13T18:30:00.123Z' },
      ],
      [
        'resets_at in milliseconds',
        { code: -32603, message: 'Rate limited', data: { resets_at: at('2026-08-13T18:30:00Z') } },
        { kind: 'limit', until: '2026-08-13T18:30:00Z' },
      ],
      [
        'a moment that is past',
        { code: -32603, message: 'Rate limited', data: { resets_at: now / 1_000 - 9_999 } },
        { kind: 'limit', until: minute },
      ],
      [
        'a moment that is far',
        { code: -32603, message: 'Rate limited', data: { resets_at: now / 1_000 + 90 * 86_400 } },
        { kind: 'limit', until: 8 * day },
      ],
      ['no moment at all', { code: -32603, message: 'Rate limited', data: { resets_at: 'soon' } }, { kind: 'limit' }],
      [
        'nothing of the kind',
        { code: -32603, message: 'Internal error', data: { details: 'Cannot read properties of undefined' } },
        undefined,
      ],
      ['wrong parameters', { code: -32602, message: 'Invalid params' }, undefined],
      ['a conversation that is gone', { code: -32002, message: 'Resource not found: 019ce059' }, undefined],
      ['a full context', { code: -32603, message: 'Internal error: Prompt is too long: context limit reached' }, undefined],
      [
        'a prompt that it gives back',
        { code: -32603, message: 'Internal error', data: { prompt: 'what does "You\'ve hit your usage limit" mean' } },
        undefined,
      ],
      ['nothing', undefined, undefined],
    ];
    for (const [name, error, expected] of answered) {
      it(name, () => {
        const found = unavailableByError(error, clock);
        assert.equal(found?.kind, expected?.kind);
        assert.equal(found?.until, moment(expected?.until));
      });
    }

    it('and what it said is the sentence, not the JSON around it', () => {
      const error = {
        code: -32603,
        message:
          'Internal error: API Error: 429 {"error":{"message":"This request would exceed your account\'s rate limit. Please try again later."}}',
      };
      assert.equal(
        unavailableByError(error, clock)?.said,
        "This request would exceed your account's rate limit. Please try again later.",
      );
    });
  });

  it('has a source for each of its patterns', () => {
    for (const { source } of [...sayings, ...gone, ...Object.values(codes)]) assert.ok(source.length > 5);
  });
});

describe('Times in words', () => {
  const words: [string, string, string | number | undefined, string?][] = [
    ['in 2 h 5 min', 'try again in 2 h 5 min', 2 * hour + 5 * minute],
    ['in an hour', 'try again in an hour', hour],
    ['in less than a minute', 'try again in less than a minute', minute],
    ['in 1 day and 5 hours', 'Try again in 1 day and 5 hours.', day + 5 * hour],
    ['retry in 19.3s', 'Please retry in 19.3s.', 19_300],
    ['24 hours', 'resets 15:30', '2026-08-13T19:30:00Z'],
    ['at night', 'resets 12am', '2026-08-14T04:00:00Z'],
    ['at noon, which just went by', 'resets 12pm', '2026-08-13T16:00:00Z'],
    ['a little ago', 'resets 11:50am', '2026-08-13T15:50:00Z'],
    ['earlier today is tomorrow', 'resets 11am', '2026-08-14T15:00:00Z'],
    ['a zone that nobody knows', 'resets 3pm (Mars/Olympus)', '2026-08-13T19:00:00Z'],
    ['a zone by its letters', 'resets 3pm PT', '2026-08-13T22:00:00Z'],
    ['UTC', 'resets at 18:00 UTC', '2026-08-13T18:00:00Z'],
    ['an offset', 'resets at 18:00 UTC+2', '2026-08-13T16:00:00Z'],
    ['a zone with three parts', 'resets 3pm (America/Argentina/Buenos_Aires)', '2026-08-13T18:00:00Z'],
    ['an older name', 'resets 3:20am (Asia/Calcutta)', '2026-08-13T21:50:00Z'],
    ['ISO', 'try again at 2026-08-14T07:00:00Z', '2026-08-14T07:00:00Z'],
    ['ISO with a space', 'regain access on 2026-08-14 at 00:00 UTC', '2026-08-14T00:00:00Z'],
    ['ISO without a zone', 'resets 2026-08-14 07:00', '2026-08-14T11:00:00Z'],
    ['a weekday', 'resets Mon 9am', '2026-08-17T13:00:00Z'],
    ['that is today', 'resets Thursday 6pm', '2026-08-13T22:00:00Z'],
    ['month first', 'try again at 8/15/2026, 7:38 AM', '2026-08-15T11:38:00Z'],
    ['day first', 'try again at 15/08/2026, 07:38', '2026-08-15T11:38:00Z'],
    ['both may be', 'try again at 8/7/2026, 7:38 AM', '2026-08-07T11:38:00Z'],
    ['German', 'try again at 20. Aug. 2026, 07:38', '2026-08-20T11:38:00Z'],
    ['Polish', 'try again at 20 sie 2026, 07:38', '2026-08-20T11:38:00Z'],
    ['Turkish', 'try again at 20 Ağu 2026 07:38', '2026-08-20T11:38:00Z'],
    ['Russian', 'try again at 20 авг. 2026 г., 07:38', '2026-08-20T11:38:00Z'],
    ['Danish', 'try again at 20. aug. 2026, 07.38', '2026-08-20T11:38:00Z'],
    ['Korean', 'try again at 2026. 8. 20. 오후 3:38', '2026-08-20T19:38:00Z'],
    ['Japanese without a year', 'resets 8月16日 19:49', '2026-08-16T23:49:00Z'],
    ['Vietnamese', 'try again at 15:38 20 thg 8, 2026', '2026-08-20T19:38:00Z'],
    ['a Portuguese sentence', 'Seu limite de uso será redefinido em 20 de ago. de 2026, 11:52.', '2026-08-20T15:52:00Z'],
    ['a log of before', '[2026-08-12 07:38:00] too many requests', undefined],
    ['a year that ends', 'resets Jan 2 at 9am (UTC)', '2027-01-02T09:00:00Z', '2026-12-30T12:00:00Z'],
    ['a date that was', 'resets Aug 12 at 9am (UTC)', '2026-08-12T09:00:00Z'],
    ['today, some time', 'resets Aug 13', undefined],
    ['no such day', 'resets Feb 30 at 9am', undefined],
    ['no such hour', 'resets 25:00', undefined],
    ['no time', 'try again later', undefined],
    ['how often', 'limits reset (every 5h and every week.)', undefined],
    ['months', 'try again in 3 months', undefined],
  ];
  for (const [name, text, expected, when] of words) {
    it(name, () => assert.equal(timeInWords(text, when ? { ...clock, now: at(when) } : clock), moment(expected)));
  }

  it('are of the zone of whoever runs the agent where they name none', () => {
    assert.equal(timeInWords('resets 3pm', { now, zone: 'Asia/Seoul' }), at('2026-08-14T06:00:00Z'));
    assert.equal(timeInWords('resets 3pm', { now, zone: 'no zone' }), at('2026-08-14T15:00:00Z'));
  });

  it('are found in every language that Intl writes dates of', () => {
    const then = at('2026-08-20T15:38:00Z');
    for (const language of 'en en-GB de fr es pt it nl sv da nb fi pl cs tr ru uk id hu ro ja zh ko vi'.split(' ')) {
      for (const dateStyle of ['medium', 'long'] as const) {
        const written = new Intl.DateTimeFormat(language, { dateStyle, timeStyle: 'short', timeZone: 'UTC' }).format(then);
        assert.equal(timeInWords(`try again at ${written}.`, { now, zone: 'UTC' }), then, `${language}: ${written}`);
      }
    }
  });

  it('that a clock never shows are the moment after, and those it shows twice the first to come', () => {
    const zone = 'America/New_York';
    assert.equal(timeInWords('resets 2:30am', { now: at('2026-03-08T04:00:00Z'), zone }), at('2026-03-08T07:30:00Z')); // 3:30 EDT
    assert.equal(timeInWords('resets 1:30am', { now: at('2026-11-01T04:00:00Z'), zone }), at('2026-11-01T05:30:00Z')); // EDT
    assert.equal(timeInWords('resets 1:30am', { now: at('2026-11-01T05:40:00Z'), zone }), at('2026-11-01T06:30:00Z')); // EST
    assert.deepEqual(momentsOf({ year: 2026, month: 11, day: 1, hour: 1, minute: 30 }, zone), [
      at('2026-11-01T05:30:00Z'),
      at('2026-11-01T06:30:00Z'),
    ]);
    // Half an hour, in Lord Howe; a whole day that was not, in Samoa.
    assert.equal(momentsOf({ year: 2026, month: 4, day: 5, hour: 1, minute: 45 }, 'Australia/Lord_Howe').length, 2);
    assert.equal(momentsOf({ year: 2011, month: 12, day: 30, hour: 12, minute: 0 }, 'Pacific/Apia').length, 1);
  });

  it('of any zone and moment are read back', () => {
    const zones = Intl.supportedValuesOf('timeZone');
    fc.assert(
      fc.property(
        fc.integer({ min: at('2026-01-01T00:00:00Z') / minute, max: at('2027-12-31T00:00:00Z') / minute }),
        fc.constantFrom(...zones),
        (minutes, zone) => {
          const wall = wallTimeAt(minutes * minute, zone);
          assert.ok(momentsOf(wall, zone).includes(minutes * minute));
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('The wait where no time is named', () => {
  it('grows from a minute to an hour', () => {
    assert.deepEqual(
      [1, 2, 3, 4, 5, 6, 7, 8, 100, 1e6].map(nextWait),
      [1, 2, 4, 8, 16, 32, 60, 60, 60, 60].map((minutes) => minutes * minute),
    );
    for (const strange of [0, -3, Number.NaN, 1.5]) assert.equal(nextWait(strange), minute);
  });
});

describe('A conversation', () => {
  const known: [string, unknown, boolean][] = [
    [
      "the protocol's number (Claude Agent)",
      { code: -32002, message: 'Resource not found: 019ce059-7e73', data: { uri: '019ce059-7e73' } },
      true,
    ],
    ['OpenCode', { code: -32602, message: 'Invalid params: session not found: ses_1', data: { sessionId: 'ses_1' } }, true],
    ['OpenCode, older', { code: -32602, message: 'Invalid params', data: '{"error":"Session not found: ses_1"}' }, true],
    [
      'Codex',
      { code: -32603, message: 'Internal error', data: { details: 'no rollout found for thread id 019fdf74-aaa9' } },
      true,
    ],
    [
      'Codex, of its adapter',
      { code: -32603, message: 'Internal error', data: { details: 'Session 019fdf74-aaa9 not found' } },
      true,
    ],
    ['Codex, unknown', { code: -32602, message: 'Invalid params: Unknown session: 019fdf74' }, true],
    [
      'Gemini CLI',
      {
        code: -32603,
        message: 'Internal error',
        data: { details: 'Invalid session identifier "3403b421". Use --list-sessions to see available sessions' },
      },
      true,
    ],
    [
      'Gemini CLI, none',
      { code: -32603, message: 'Internal error', data: { details: 'No previous sessions found for this project.' } },
      true,
    ],
    ['Claude Code', new Error('No conversation found with session ID: 3403b421'), true],
    ['a sign-in (W2)', { code: -32000, message: 'Authentication required' }, false],
    ['no network (W2)', { code: -32603, message: 'fetch failed: ETIMEDOUT' }, false],
    ['a limit', { code: 429, message: 'Rate limit exceeded. Try again later.' }, false],
    ['an error of its own', { code: -32603, message: 'Internal error' }, false],
    ['a process that ended', { code: -32603, message: 'Query closed before response received' }, false],
    ['a method that is not there', { code: -32601, message: '"Method not found": session/load' }, false],
    ['a session that needs a sign-in', { code: -32603, message: 'Session expired. Please log in again.' }, false],
    ['a session that closes', { code: -32600, message: 'Session 12 is closing' }, false],
    ['a model', { code: -32602, message: 'model not found: x' }, false],
    ['a file', { code: -32002, message: 'Resource not found', data: { uri: 'file:///a' } }, false],
    ["a tool server's session", { code: -32603, message: 'MCP server x: session not found' }, false],
    ['nothing', undefined, false],
  ];
  for (const [name, error, expected] of known) {
    it(`${expected ? 'is gone' : 'is not gone'}: ${name}`, () => assert.equal(isConversationGone(error), expected));
  }
});

describe('Whatever an agent says', () => {
  const inBounds = (found: { until?: number } | undefined) =>
    found?.until === undefined || (found.until >= now + shortestWait && found.until <= now + longestWait);
  const pieces = fc.constantFrom(
    ...sayings.map(({ says }) => says.source.replace(/\\b|[\\?(){}|^$]/g, ' ')),
    "you've hit your usage limit",
    'resets',
    'try again at',
    'in',
    '3',
    '99999999999',
    '25:61',
    '3pm',
    'am',
    'Aug',
    '31',
    '2026',
    '0000-00-00T00:00:00Z',
    '(Asia/Seoul)',
    '(a/b)',
    '|1753077600',
    '429',
    '401',
    '{"error":{"retryAfter":-1}}',
    '"',
    '{',
    '}',
    '```',
    '>',
    '\n',
    '\n\n',
    '`',
    '\u0000',
    '\ud800',
    'İ',
    '…',
    'UTC+99',
    '월',
  );

  it('it never throws, and names no time out of bounds', () => {
    const text = fc
      .array(fc.oneof(pieces, fc.string({ unit: 'binary', maxLength: 20 })), { maxLength: 30 })
      .map((parts) => parts.join(' '));
    fc.assert(
      fc.property(
        text,
        fc.integer({ min: -32100, max: 600 }),
        fc.anything({ withDate: true, withBigInt: true }),
        (words, code, data) => {
          assert.ok(inBounds(unavailableByLastText(words, clock)));
          assert.ok(inBounds(unavailableByError({ code, message: words, data }, clock)));
          assert.ok(
            inBounds(unavailableByError({ code, message: 'Rate limited', data: { resets_at: data, retryAfter: words } }, clock)),
          );
          assert.ok(inBounds(unavailableByError(data, clock)));
          isConversationGone({ code, message: words, data });
        },
      ),
      { numRuns: 200 },
    );
  });

  it('it never throws for objects that do', () => {
    const hostile = new Proxy({}, { get: () => assert.fail(), has: () => assert.fail(), ownKeys: () => assert.fail() });
    assert.equal(unavailableByError(hostile, clock), undefined);
    assert.equal(isConversationGone(hostile), false);
    const round: Record<string, unknown> = { message: 'Rate limited' };
    round.data = round;
    assert.equal(unavailableByError(round, clock)?.kind, 'limit');
  });

  it('it takes no time, however long it is', () => {
    const size = 10 * 1024 * 1024;
    const long = [
      ' '.repeat(size),
      '\n'.repeat(size),
      '>'.repeat(size),
      '`'.repeat(size),
      'a '.repeat(size / 2),
      '1:'.repeat(size / 2),
      "you've hit your ".repeat(size / 16),
      'resets '.repeat(size / 7),
      'session '.repeat(size / 8),
      '3 days '.repeat(size / 7),
      '{"a":'.repeat(size / 5),
      '\u001b['.repeat(size / 2),
      'Aug 3 '.repeat(size / 6),
    ];
    for (const text of [...long, ...long.map((one) => one.slice(0, 3_999)), ...long.map((one) => one.slice(0, 999))]) {
      const start = performance.now();
      unavailableByLastText(text, clock);
      unavailableByError(
        { code: -32603, message: text, data: { details: text, retryAfter: text, [text.slice(0, 1_000)]: text } },
        clock,
      );
      isConversationGone({ code: -32002, message: text });
      const time = performance.now() - start;
      assert.ok(time < 1_000, `${time} ms for ${JSON.stringify(text.slice(0, 20))}`);
    }
  });
});
