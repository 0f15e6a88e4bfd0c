/** What a hostile agent may send, as protocol updates: nothing of it may run, break the layout or stop the page. */
import { streamMeta } from '../../src/shellAgent/streamMeta.ts';

const bad = 'globalThis.pwned=1';

const texts = [
  `<script>${bad}</script>`,
  `<img src=x onerror="${bad}">`,
  `<svg onload="${bad}"><circle r=9></svg>`,
  `<svg><script>${bad}</script></svg>`,
  `<iframe src="javascript:${bad}"></iframe>`,
  `<iframe srcdoc="<script>parent.${bad}</script>"></iframe>`,
  `<object data="javascript:${bad}"></object>`,
  `<embed src="javascript:${bad}">`,
  `<body onload="${bad}">`,
  `<details open ontoggle="${bad}">x</details>`,
  `<input autofocus onfocus="${bad}">`,
  `<form action="javascript:${bad}"><button>x</button></form>`,
  `<a href="javascript:${bad}">click</a>`,
  `[click](javascript:${bad})`,
  `[click](JaVaScRiPt:${bad})`,
  `[click](java&#115;cript:${bad})`,
  `[click](&#x6A;avascript:${bad})`,
  '[click](command:workbench.action.terminal.new)',
  '[click](command:branchline.removeBranch?%22x%22)',
  '[click](vscode://branchline.branchline/x)',
  `[click](data:text/html,<script>${bad}</script>)`,
  `[click](vbscript:${bad})`,
  '[click](file:///etc/passwd)',
  '![image](https://example.invalid/track.png)',
  `![x](x "onerror=${bad}")`,
  `<style>body{display:none}</style>`,
  `<link rel=stylesheet href="https://example.invalid/x.css">`,
  `<meta http-equiv="refresh" content="0;url=https://example.invalid">`,
  `<base href="https://example.invalid/">`,
  `<div style="position:fixed;inset:0;background:red">cover</div>`,
  `<math><mtext><table><mglyph><style><img src=x onerror="${bad}">`,
  `<noscript><p title="</noscript><img src=x onerror=${bad}>">`,
  `\`\`\`html\n<img src=x onerror="${bad}">\n\`\`\``,
  `\`\`\`"><img src=x onerror=${bad}>\nx\n\`\`\``,
  `${'> '.repeat(500)}deep`,
  `${'- '.repeat(500)}deep`,
  '['.repeat(50_000),
  '[a]('.repeat(10_000),
  `${'*'.repeat(20_000)}x${'_'.repeat(20_000)}`,
  `\`\`\`ts\n${'a'.repeat(19_000)}\n\`\`\``,
  `|a|b|\n|-|-|\n${'|x|y|\n'.repeat(500)}`,
  'x'.repeat(20_000),
  `https://example.invalid/${'y'.repeat(5_000)}`,
  '\u001b[31mred\u001b[0m \u001b]8;;javascript:alert(1)\u0007link\u001b]8;;\u0007 \u001b[2J\u001b[H',
  'user\u202e txt.exe\u202c \u2066hidden\u2069 \u200bzero',
  'broken \ud800 surrogate \udfff and \ufffd \u0000 nul',
  'Z\u0351\u036b\u0343\u036a\u0302'.repeat(300),
  `{{constructor.constructor('${bad}')()}}`,
  '${globalThis.pwned=1}',
  `<!--${'x'.repeat(2_000)}`,
  `]]><![CDATA[<script>${bad}</script>]]>`,
];

interface Update {
  sessionUpdate: string;
  [field: string]: unknown;
}

export const hostileOutputs: Update[] = [
  ...texts.flatMap((text): Update[] => [
    { sessionUpdate: 'agent_message_chunk', content: { type: 'text', text: `\n\n${text}\n\n` } },
    { sessionUpdate: 'agent_thought_chunk', content: { type: 'text', text } },
  ]),
  { sessionUpdate: 'agent_message_chunk', content: { type: 'text', text: 'w'.repeat(10 * 1024 * 1024) } },
  ...['output without an end of line ', 'progress\r', '\u001b]0;title', '\u001b['].map(
    (text): Update => ({
      sessionUpdate: 'agent_message_chunk',
      content: { type: 'text', text: text.repeat(20_000) },
      _meta: { [streamMeta]: 'stdout' },
    }),
  ),
  {
    sessionUpdate: 'tool_call',
    toolCallId: 'h3',
    title: 'A long line',
    kind: 'execute',
    status: 'completed',
    content: [{ type: 'content', content: { type: 'text', text: 'v'.repeat(2 * 1024 * 1024) } }],
  },
  {
    sessionUpdate: 'tool_call',
    toolCallId: 'h1',
    title: `<img src=x onerror="${bad}">`,
    kind: 'execute',
    status: 'completed',
    content: [{ type: 'content', content: { type: 'text', text: `<script>${bad}</script>` } }],
  },
  {
    sessionUpdate: 'tool_call',
    toolCallId: 'h2',
    title: 'x'.repeat(5_000),
    kind: 'edit',
    status: 'failed',
    content: [{ type: 'diff', path: '/etc/passwd', oldText: `<script>${bad}</script>`, newText: 'y\n'.repeat(5_000) }],
    locations: [{ path: '/etc/passwd', line: -1 }],
  },
  { sessionUpdate: 'tool_call', toolCallId: '__proto__', title: 'proto', kind: 'other', status: 'pending' },
  {
    sessionUpdate: 'plan',
    entries: [
      { content: `<script>${bad}</script>`, priority: 'high', status: 'pending' },
      ...Array.from({ length: 200 }, (_, n) => ({ content: `${n}${'z'.repeat(300)}`, priority: 'low', status: 'pending' })),
    ],
  },
];
