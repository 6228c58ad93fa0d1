/* index.tsx - entry of the front door. */
import { render } from 'preact';
import { App } from './home/app.tsx';
import { start } from './home/state.ts';

start();
render(<App />, document.getElementById('app')!);
