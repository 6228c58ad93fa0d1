/* feed.tsx - entry of the live feed page. */
import { render } from 'preact';
import { App } from './feed/app.tsx';
import { start } from './feed/state.ts';

start();
render(<App />, document.getElementById('app')!);
