/**
 * What agents say when they can't work now, as data: the one file to change when one of them says it in other words.
 *
 * `source` is where it was seen: an issue of the agent's tracker with its date, or a file of its repository. Apostrophes,
 * spaces and letters' case are made alike before anything is compared (see reading.ts).
 */

export type Kind = 'limit' | 'signIn' | 'offline';

/** How long to wait where no time is named. Without it, a growing wait. */
export type Without = { hours: number } | { midnightIn: string };

export interface Saying {
  kind: Kind;
  says: RegExp;
  /** True for words that are believed without an error beside them: as a turn's last ones, at the start of a sentence. */
  alone?: true;
  without?: Without;
  agent: 'Claude Code' | 'Codex' | 'Gemini CLI' | 'OpenCode' | 'Copilot CLI' | 'any';
  source: string;
}

const codexWait: Without = { hours: 1 };
/** A day's quota of Google comes back at midnight there. */
export const googleMidnight = 'America/Los_Angeles';

/** In this order; the first that fits counts. Limits come first: their sentences name ways to sign in otherwise ("/login to ..."). */
export const sayings: readonly Saying[] = [
  {
    kind: 'limit',
    alone: true,
    says: /you(?:'ve| have)? hit your usage limit/,
    without: codexWait,
    agent: 'Codex',
    source: 'openai/codex codex-rs/protocol/src/error.rs (UsageLimitReachedError); openai/codex#39603, 2026-08',
  },
  {
    kind: 'limit',
    alone: true,
    says: /your workspace is out of credits/,
    without: codexWait,
    agent: 'Codex',
    source: 'openai/codex#27598, 2026-06; codex-rs/protocol/src/error.rs',
  },
  {
    kind: 'limit',
    alone: true,
    says: /you hit your spend cap set (?:in|by the owner of) your workspace/,
    without: codexWait,
    agent: 'Codex',
    source: 'openai/codex codex-rs/protocol/src/error.rs (WorkspaceMemberUsageLimitReached), 2026-06',
  },
  {
    kind: 'limit',
    alone: true,
    says: /quota exceeded\. check your plan and billing details/,
    without: codexWait,
    agent: 'Codex',
    source: 'openai/codex codex-rs/protocol/src/error.rs (QuotaExceeded)',
  },
  {
    kind: 'limit',
    alone: true,
    says: /selected model is at capacity/,
    agent: 'Codex',
    source: 'openai/codex codex-rs/protocol/src/error.rs (ServerOverloaded)',
  },
  {
    kind: 'limit',
    alone: true,
    says: /you(?:'ve| have) (?:hit|reached) your (?:(?!context|token|turn|tool|file)[\w'.-]{1,20} ){0,4}?limit/,
    agent: 'Claude Code',
    source: 'anthropics/claude-code#85572, 2026-08; #42042, 2026-04; #12789, 2025-12',
  },
  {
    kind: 'limit',
    alone: true,
    says: /(?:(?:claude|claude ai|5-hour|five-hour|opus|sonnet|haiku|fable|session|usage|daily|weekly|monthly) ){1,3}limit reached|claude (?:[\w.-]{1,12} ){1,3}?limit reached/,
    agent: 'Claude Code',
    source: 'anthropics/claude-code#12789, 2025-12; #10333, 2025-10; #4048 (with an epoch after a bar), 2025-07',
  },
  {
    kind: 'limit',
    alone: true,
    says: /limit reached(?= ?[·∙•|])/,
    agent: 'Claude Code',
    source: 'anthropics/claude-code#10333, 2025-10',
  },
  {
    kind: 'limit',
    alone: true,
    says: /you(?:'re| are) out of extra usage/,
    agent: 'Claude Code',
    source: 'anthropics/claude-code#12789, 2025-12 (its way out, "/extra-usage")',
  },
  {
    kind: 'limit',
    alone: true,
    says: /(?:your )?credit balance (?:is )?too low/,
    agent: 'Claude Code',
    source: 'anthropics/claude-code#54566, 2026-04; #867, 2025-04',
  },
  {
    kind: 'limit',
    says: /would exceed your (?:account|organization)'s rate limit/,
    agent: 'Claude Code',
    source: 'anthropics/claude-code#42042, 2026-04',
  },
  {
    kind: 'limit',
    says: /you have reached your specified (?:workspace )?api usage limits/,
    agent: 'Claude Code',
    source: 'anthropics/claude-code#1047, 2025-05',
  },
  {
    kind: 'limit',
    alone: true,
    says: /sorry, you(?:'ve| have) (?:been rate[- ]limited|hit a rate limit|exceeded your (?:\w{1,20} ){0,2}rate limit)/,
    agent: 'Copilot CLI',
    source: 'github/copilot-cli#2336, 2026-03; #2740 and #2769, 2026-04',
  },
  {
    kind: 'limit',
    says: /you(?:'ve| have) (?:reached|exceeded|hit) (?:your|the) (?:[\w'-]{1,20} ){0,4}(?:quota|(?:premium )?requests? (?:limit|allowance))/,
    agent: 'Copilot CLI',
    source: 'microsoft/vscode-copilot-release#13608, 2025-06; github/copilot-cli#3431, 2026-05',
  },
  {
    kind: 'limit',
    says: /you have no quota/,
    agent: 'Copilot CLI',
    source: 'github/copilot-cli#3431, 2026-05',
  },
  {
    kind: 'limit',
    alone: true,
    says: /you have exhausted your daily quota/,
    without: { midnightIn: googleMidnight },
    agent: 'Gemini CLI',
    source: 'google-gemini/gemini-cli#15576, 2025-12',
  },
  {
    kind: 'limit',
    alone: true,
    says: /you have exhausted your capacity on this model/,
    agent: 'Gemini CLI',
    source: 'google-gemini/gemini-cli#25103, 2026-04; #13004, 2025-11',
  },
  {
    kind: 'limit',
    alone: true,
    says: /no capacity available for model [\w.:/-]{1,80}(?: on the server)?/,
    agent: 'Gemini CLI',
    source: 'google-gemini/gemini-cli#23980, 2026-03',
  },
  {
    kind: 'limit',
    alone: true,
    says: /individual quota reached/,
    agent: 'Gemini CLI',
    source: 'shindgew/agy-acp#17, 2026-07',
  },
  {
    kind: 'limit',
    says: /you exceeded your current quota|quota exceeded for (?:quota )?metric|resource (?:has been )?exhausted|(?:individual|your) quota (?:has been )?(?:reached|exceeded|exhausted)/,
    agent: 'Gemini CLI',
    source: 'google-gemini/gemini-cli#14811, 2025-12; #10925, 2025-10; gke-labs/gemini-for-kubernetes-development#1215, 2026-07',
  },
  {
    kind: 'limit',
    alone: true,
    says: /free usage (?:limit )?exceeded/,
    agent: 'OpenCode',
    source: 'anomalyco/opencode#50093, 2026-09; #42215, 2026-08',
  },
  {
    kind: 'limit',
    alone: true,
    says: /the usage limit has been reached/,
    without: codexWait,
    agent: 'OpenCode',
    source: 'anomalyco/opencode#47239, 2026-09 (with a subscription of Codex)',
  },
  {
    kind: 'limit',
    alone: true,
    says: /rate limit reached for [\w.:/-]{1,60} in organization [\w-]{1,60}(?: on [a-z ]{1,40})?/,
    agent: 'OpenCode',
    source: 'words of the OpenAI API, which agents with a key of it pass on',
  },
  {
    kind: 'limit',
    says: /rate[- ]?limit(?:s|ed| has been)? ?(?:exceeded|reached|error)|exceeded the rate limit|\brate[- ]limited\b|too many requests/,
    agent: 'any',
    source: 'anomalyco/opencode#47747, 2026-09; google-gemini/gemini-cli packages/cli/src/acp (429)',
  },
  {
    kind: 'limit',
    says: /(?:status|error|code|http)(?: code)?[ :=("]{0,4}(?:429|529)\b|^(?:429|529)\b(?: too many requests| overloaded)?/,
    agent: 'any',
    source: 'anthropics/claude-code#81327, 2026-07; openai/codex codex-rs/protocol/src/error.rs (RetryLimitReachedError)',
  },
  {
    kind: 'limit',
    says: /\boverloaded(?:_error)?\b|529 overloaded|experiencing high demand/,
    agent: 'any',
    source: 'anthropics/claude-code#87317, 2026-08; openai/codex codex-rs/protocol/src/error.rs (InternalServerError)',
  },
  {
    kind: 'offline',
    alone: true,
    says: /(?:connect|getaddrinfo|read|request to \S{1,200} failed, reason:(?: connect)?) e(?:connrefused|connreset|timedout|notfound|ai_again|netunreach|hostunreach)\b(?: [\w.:-]{1,100})?/,
    agent: 'any',
    source: 'Node.js system errors',
  },
  {
    kind: 'offline',
    says: /\b(?:econnrefused|econnreset|etimedout|enotfound|eai_again|enetunreach|enetdown|ehostunreach|und_err_connect_timeout|getaddrinfo)\b/,
    agent: 'any',
    source: 'Node.js system errors; anthropics/claude-code#11014, 2025-11',
  },
  {
    kind: 'offline',
    says: /\bfetch failed\b|\bfailed to fetch\b|\bsocket hang up\b|\bnetwork error\b|\bconnection error\b|unable to connect to (?:the )?api/,
    agent: 'any',
    source: 'Node.js fetch; anthropics/claude-code (API Error: Unable to connect to API)',
  },
  {
    kind: 'offline',
    alone: true,
    says: /stream disconnected before completion|connection failed: error sending request|error sending request for url/,
    agent: 'Codex',
    source: 'openai/codex codex-rs/protocol/src/error.rs (Stream, ConnectionFailed)',
  },
  {
    kind: 'offline',
    says: /could not resolve host|dns error|temporary failure in name resolution|network is unreachable|no internet connection/,
    agent: 'any',
    source: 'words of libc, curl and reqwest for the same',
  },
  {
    kind: 'signIn',
    alone: true,
    says: /(?:invalid api key|not logged in|oauth token (?:has )?(?:expired|revoked)|login expired)(?: ?· ?please run \/login)?/,
    agent: 'Claude Code',
    source: 'anthropics/claude-code#33811, 2026-03; #11014, 2025-11',
  },
  {
    kind: 'signIn',
    alone: true,
    says: /please run \/login/,
    agent: 'Claude Code',
    source: 'anthropics/claude-code#33811, 2026-03; agentclientprotocol/claude-agent-acp src/acp-agent.ts',
  },
  {
    kind: 'signIn',
    alone: true,
    says: /failed to authenticate\. api error/,
    agent: 'Claude Code',
    source: 'anthropics/claude-code#33811, 2026-03',
  },
  {
    kind: 'signIn',
    says: /auth(?:entication|orization)? (?:is )?required|login required|\bunauthenticated\b|not authenticated|failed to authenticate|authentication (?:failed|error)|authentication_error/,
    agent: 'any',
    source: 'Agent Client Protocol (-32000); github/copilot-cli#4016, 2026-07',
  },
  {
    kind: 'signIn',
    says: /(?:please|must|need to|have to) (?:log|sign) ?in\b|(?:log out and (?:sign|log) in)|you have been logged out|not (?:logged|signed) in/,
    agent: 'any',
    source: 'agentclientprotocol/codex-acp src/CodexAcpServer.ts, 2026-08',
  },
  {
    kind: 'signIn',
    says: /(?:access|refresh|oauth|authentication) token (?:is |has |was )?(?:expired|revoked|invalid|missing|could not be refreshed|already used)|token (?:is|has) expired|invalid_grant/,
    agent: 'any',
    source: 'openai/codex codex-rs/login; svkozak/pi-acp#107, 2026-08',
  },
  {
    kind: 'signIn',
    says: /(?:invalid|incorrect|missing|no) api[- ]key|api[- ]key (?:is )?(?:not valid|invalid|missing|not found|expired)/,
    agent: 'any',
    source: 'Alishahryar1/free-claude-code#419, 2026-05; google-gemini/gemini-cli (API_KEY_INVALID)',
  },
  {
    kind: 'signIn',
    says: /(?:status|error|code|http)(?: code)?[ :=("]{0,4}401\b|^401\b|401 unauthorized/,
    agent: 'any',
    source: 'anthropics/claude-code#10712, 2025-10',
  },
];

/** What stands in the fields of an error's data, without `_`, `-` and spaces. */
export const codes: Readonly<Record<string, { kind: Kind; without?: Without; source: string }>> = {
  usagelimitreached: { kind: 'limit', without: codexWait, source: 'earendil-works/pi#4172, 2026-05 (Codex, with resets_at)' },
  usagelimitexceeded: {
    kind: 'limit',
    without: codexWait,
    source: 'agentclientprotocol/codex-acp src/CodexEventHandler.ts, 2026-08',
  },
  usagenotincluded: { kind: 'limit', without: codexWait, source: 'openai/codex codex-rs/protocol/src/error.rs' },
  sessionbudgetexceeded: { kind: 'limit', without: codexWait, source: 'agentclientprotocol/codex-acp src/CodexEventHandler.ts' },
  workspaceownercreditsdepleted: { kind: 'limit', without: codexWait, source: 'pingdotgg/t3code#9234, 2026-09 (Codex)' },
  workspacemembercreditsdepleted: { kind: 'limit', without: codexWait, source: 'pingdotgg/t3code#9234, 2026-09 (Codex)' },
  workspaceownerusagelimitreached: { kind: 'limit', without: codexWait, source: 'openai/codex codex-rs/protocol/src/error.rs' },
  workspacememberusagelimitreached: { kind: 'limit', without: codexWait, source: 'openai/codex codex-rs/protocol/src/error.rs' },
  insufficientquota: { kind: 'limit', without: codexWait, source: 'codes of the OpenAI API' },
  serveroverloaded: { kind: 'limit', source: 'agentclientprotocol/codex-acp src/CodexEventHandler.ts' },
  ratelimit: { kind: 'limit', source: 'github/copilot-cli#2769, 2026-04 (errorType)' },
  ratelimited: { kind: 'limit', source: 'agentclientprotocol/codex-acp src/CodexEventHandler.ts' },
  ratelimiterror: { kind: 'limit', source: 'anthropics/claude-code#42042, 2026-04' },
  ratelimitexceeded: { kind: 'limit', source: 'google-gemini/gemini-cli#14811, 2025-12; anomalyco/opencode#47747, 2026-09' },
  ratelimitreached: { kind: 'limit', source: 'openai/codex codex-rs/protocol/src/error.rs' },
  userweeklyratelimited: { kind: 'limit', source: 'github/copilot-cli#2740, 2026-04' },
  userglobalratelimited: { kind: 'limit', source: 'github/copilot-cli#2740, 2026-04 (its other scope)' },
  quotaexceeded: { kind: 'limit', source: 'github/copilot-cli#3431, 2026-05' },
  quotaexhausted: { kind: 'limit', source: 'shindgew/agy-acp#17, 2026-07' },
  resourceexhausted: { kind: 'limit', source: 'google-gemini/gemini-cli#14811, 2025-12' },
  modelcapacityexhausted: { kind: 'limit', source: 'google-gemini/gemini-cli#23986, 2026-03' },
  freeusagelimiterror: { kind: 'limit', source: 'anomalyco/opencode#42033, 2026-08' },
  overloaded: { kind: 'limit', source: 'agentclientprotocol/codex-acp src/CodexEventHandler.ts' },
  overloadederror: { kind: 'limit', source: 'anthropics/claude-code#39745, 2026-03' },
  toomanyrequests: { kind: 'limit', source: 'google-gemini/gemini-cli#1800, 2025-06' },
  httpconnectionfailed: { kind: 'offline', source: 'agentclientprotocol/codex-acp src/CodexEventHandler.ts' },
  responsestreamconnectionfailed: { kind: 'offline', source: 'agentclientprotocol/codex-acp src/CodexEventHandler.ts' },
  responsestreamdisconnected: { kind: 'offline', source: 'agentclientprotocol/codex-acp src/CodexEventHandler.ts' },
  unauthorized: { kind: 'signIn', source: 'agentclientprotocol/codex-acp src/CodexEventHandler.ts' },
  unauthenticated: { kind: 'signIn', source: 'google.rpc.Code' },
  authenticationerror: { kind: 'signIn', source: 'anthropics/claude-code#33811, 2026-03' },
  authenticationfailed: { kind: 'signIn', source: 'the same, as the SDK of Claude names it' },
  authrequired: { kind: 'signIn', source: 'agentclientprotocol/codex-acp src/CodexEventHandler.ts' },
  apikeyinvalid: { kind: 'signIn', source: 'google.rpc.ErrorInfo of the Gemini API' },
};

/** HTTP statuses in an error's code or data. */
export const statuses: Readonly<Record<number, Kind>> = { 401: 'signIn', 402: 'limit', 429: 'limit', 503: 'limit', 529: 'limit' };

/** What the protocol answers when it wants a sign-in. Other programs use the same number for anything, so it counts with such words only. */
export const authRequired = -32000;
export const aboutSigningIn =
  /\bauth|\blog(?:ged)?[ -]?(?:in|out)\b|\bsign(?:ed)?[ -]?(?:in|out)\b|credential|\baccount\b|api[ -]?key|\btoken\b/;
export const notAboutSigningIn =
  /closed|disconnect|exited|crash|terminat|timed? ?out|not found|unsupported|invalid param|cancel|spawn/;

/** Errors of programs on this machine have the codes of the network, too. */
export const notTheNetwork = /\bspawn(?:sync)?\b/;

/** How times are named in data and headers, without `_`, `-` and spaces; in this order. */
export const timeFields: readonly { names: readonly string[]; is: 'milliseconds' | 'after' | 'moment'; source: string }[] = [
  { names: ['retryaftermilliseconds', 'retryafterms', 'retrydelayms'], is: 'milliseconds', source: 'headers of the OpenAI API' },
  { names: ['resetsat', 'resetat', 'retryat'], is: 'moment', source: 'earendil-works/pi#4172, 2026-05 (Codex)' },
  { names: ['quotaresettimestamp', 'resettime', 'resetstime'], is: 'moment', source: 'shindgew/agy-acp#17, 2026-07' },
  {
    names: ['resetsinseconds', 'resetinseconds', 'resetafterseconds'],
    is: 'after',
    source: 'earendil-works/pi#4172, 2026-05 (Codex)',
  },
  {
    names: ['retryafter', 'retryafterseconds', 'retryinseconds'],
    is: 'after',
    source: 'RFC 9110, Retry-After: seconds or a date',
  },
  { names: ['retrydelay', 'quotaresetdelay'], is: 'after', source: 'google.rpc.RetryInfo' },
  { names: ['anthropicratelimitunifiedreset'], is: 'moment', source: 'headers of the Anthropic API, in epoch seconds' },
  { names: ['xratelimitreset', 'ratelimitreset'], is: 'moment', source: 'headers of the GitHub API, in epoch seconds' },
];

/** Google's quotas for a day: the delay that may stand beside one is that of a minute's quota. */
export const dayQuota = /perday|per day per |daily quota/;
/** Milliseconds. What Gemini CLI itself takes for a delay that is not worth waiting for in a request. */
export const shortDelay = 5 * 60_000;

/** Begins what is an error, though it comes as text. */
export const errorMark = /^(?:\[ ?)?api error ?[:(]|^internal error: |^unexpected status \d{3}|^exceeded retry limit/;
/** Begins a sentence of an agent about itself. */
export const sayingMark = /^(?:error|fatal|warning) ?: /;

/** What an agent answers when it does not know a conversation (any more). */
export const notFoundCode = -32002;
export const gone: readonly { says: RegExp; agent: Saying['agent']; source: string }[] = [
  {
    says: /\b(?:session|conversation|thread)(?: id)?:? ["'`(]?[\w.:-]{0,80}["'`)]? ?(?:was |is |could )?(?:not (?:be )?found|unknown|does not exist|doesn't exist|no longer exists)/,
    agent: 'OpenCode',
    source: 'anomalyco/opencode packages/opencode/src/acp/error.ts; agentclientprotocol/codex-acp src/CodexAcpServer.ts',
  },
  {
    says: /\b(?:unknown|no such|missing) (?:session|conversation|thread)\b/,
    agent: 'Codex',
    source: 'agentclientprotocol/codex-acp src/CodexAcpServer.ts, 2026-08; pingdotgg/t3code#6671, 2026-08',
  },
  {
    says: /\bno rollout found for (?:thread|conversation)|\bno thread with id\b/,
    agent: 'Codex',
    source: 'pingdotgg/t3code#6671, 2026-08; openai/codex codex-rs/protocol/src/error.rs',
  },
  {
    says: /\bno (?:conversation|session|thread) (?:was )?found\b/,
    agent: 'Claude Code',
    source: 'words of `claude --resume` for an unknown id',
  },
  {
    says: /\binvalid session (?:identifier|id)\b|\bno previous sessions found\b/,
    agent: 'Gemini CLI',
    source: 'google-gemini/gemini-cli#29288, 2026-09; managoat/fountain#659, 2026-08',
  },
];
/** What else may not be found, by the same number. */
export const notAConversation = /\b(?:file|folder|directory|model|mode|mcp|command|tool)\b/;
