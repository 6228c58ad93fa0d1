/* state.ts - everything the front door knows. */
import { signal } from '@preact/signals';
import { fetchInfo, runSelfTest, type ServerInfo, type Step, type StepName } from './self-test.ts';

const INFO_EVERY_MS = 5_000;
const NAMES: StepName[] = ['health', 'socket', 'roundTrip', 'api'];

const untested = (): Step[] => NAMES.map((name) => ({ name, state: 'waiting', text: '' }));

export const steps = signal<readonly Step[]>(untested());
export const isTesting = signal(false);
/* null: not known, or not told without a key. */
export const info = signal<ServerInfo | null>(null);

export async function test(): Promise<void> {
    if (isTesting.value) {
        return;
    }
    isTesting.value = true;
    steps.value = untested();
    await runSelfTest((changed) => {
        steps.value = steps.value.map((step) => (step.name === changed.name ? changed : step));
    });
    isTesting.value = false;
}

async function refreshInfo(): Promise<void> {
    if (document.visibilityState === 'visible') {
        info.value = (await fetchInfo()).info;
    }
}

export function start(): void {
    void test().then(refreshInfo);
    setInterval(() => {
        /* Where it was refused there is no point in asking again. */
        if (info.value !== null) {
            void refreshInfo();
        }
    }, INFO_EVERY_MS);
}
