/* chat.tsx - entry of the chat page. */
import { render } from 'preact';
import { App } from './chat/app.tsx';
import { start } from './chat/state.ts';

start();
render(<App />, document.getElementById('app')!);
