/** An agent's Markdown as safe HTML: no HTML of its own, known schemes only, and sanitised again after it was made. */
import DOMPurify from 'dompurify';
import hljs from 'highlight.js/lib/core';
import bash from 'highlight.js/lib/languages/bash';
import css from 'highlight.js/lib/languages/css';
import diff from 'highlight.js/lib/languages/diff';
import go from 'highlight.js/lib/languages/go';
import javascript from 'highlight.js/lib/languages/javascript';
import json from 'highlight.js/lib/languages/json';
import python from 'highlight.js/lib/languages/python';
import rust from 'highlight.js/lib/languages/rust';
import typescript from 'highlight.js/lib/languages/typescript';
import xml from 'highlight.js/lib/languages/xml';
import yaml from 'highlight.js/lib/languages/yaml';
import MarkdownIt from 'markdown-it';
import { visible } from '../../model/visibleText.ts';

for (const [name, language] of Object.entries({ bash, css, diff, go, javascript, json, python, rust, typescript, xml, yaml }))
  hljs.registerLanguage(name, language);
hljs.registerAliases(['sh', 'shell', 'console', 'zsh'], { languageName: 'bash' });

const longestHighlighted = 20_000;
/** A line of code that is longer was not written by hand, and takes the highlighter a time that grows with its square. */
const longestHighlightedLine = 1_000;
const isHighlightable = (code: string): boolean =>
  code.length < longestHighlighted && code.split('\n').every((line) => line.length <= longestHighlightedLine);
/** Longer text is shown as it is: nobody reads it, and making it pretty would hold up the page. */
const longestMarkdown = 60_000;

const parser = new MarkdownIt({
  html: false,
  linkify: false,
  breaks: false,
  maxNesting: 30,
  highlight: (code, language) =>
    hljs.getLanguage(language) && isHighlightable(code) ? hljs.highlight(code, { language, ignoreIllegals: true }).value : '',
});
parser.validateLink = (href) => /^(https?:|mailto:|[^:]*$)/i.test(href.trim());
parser.disable('image');

const allowedTags = [
  'p',
  'br',
  'hr',
  'h1',
  'h2',
  'h3',
  'h4',
  'h5',
  'h6',
  'strong',
  'em',
  's',
  'code',
  'pre',
  'blockquote',
  'ul',
  'ol',
  'li',
  'a',
  'table',
  'thead',
  'tbody',
  'tr',
  'th',
  'td',
  'span',
];

/** Undefined when the text is to be shown as it is. */
export function htmlOf(text: string): string | undefined {
  if (text.length > longestMarkdown) return undefined;
  return DOMPurify.sanitize(parser.render(visible(text)), {
    ALLOWED_TAGS: allowedTags,
    ALLOWED_ATTR: ['href', 'class'],
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|[^:]*$)/i,
  });
}

/** What a line shows that was written over again and again, as progress is. */
function lastWritten(line: string): string {
  let end = line.length;
  while (line[end - 1] === '\r') end -= 1; // Nothing was written over it yet.
  return line.slice(end === 0 ? 0 : line.lastIndexOf('\r', end - 1) + 1, end);
}

/** Text of a terminal without its control sequences. */
export function plainOf(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
  const sequences = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g;
  const lines = text.replace(sequences, '').replace(/\r\n/g, '\n').split('\n').map(lastWritten);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
  return visible(lines.join('\n').replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, ''));
}
