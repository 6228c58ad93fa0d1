/* admin.tsx - entry of the admin page. */
import { render } from 'preact';
import { App } from './admin/app.tsx';
import { start } from './admin/state.ts';

start();
render(<App />, document.getElementById('app')!);
