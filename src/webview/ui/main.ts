/** Entry of the timeline's page. */
import '@vscode-elements/elements/dist/vscode-button/index.js';
import './composer.ts';
import './conversation.ts';
import './since.ts';
import './app.ts';
