/* deadline.ts - how long a specification waits for what must happen.
 *
 * Nothing here sleeps for a fixed time: every wait is for an event and has an end. Sanitizer builds are slower by a
 * factor that the Makefile gives in STARLING_SPEC_SLOWNESS; it stretches every deadline and no behaviour.
 */

export const SLOWNESS = Number(process.env.STARLING_SPEC_SLOWNESS ?? '1');

/* What should take milliseconds. */
export const SOON_MS = 5000 * SLOWNESS;

export class DeadlineError extends Error {}

/* `promise`, or an error that says what did not come. */
export function within<T>(promise: Promise<T>, what: string, ms: number = SOON_MS): Promise<T> {
    return new Promise<T>((resolve, reject) => {
        const timer = setTimeout(() => reject(new DeadlineError(`${what}: nothing within ${ms} ms`)), ms);
        promise.then(
            (value) => {
                clearTimeout(timer);
                resolve(value);
            },
            (error: unknown) => {
                clearTimeout(timer);
                reject(error instanceof Error ? error : new Error(String(error)));
            },
        );
    });
}

/* Asks again and again until `probe` says yes: for what can only be looked at, not waited for. */
export async function eventually(what: string, probe: () => boolean | Promise<boolean>, ms: number = SOON_MS) {
    const end = Date.now() + ms;
    while (!(await probe())) {
        if (Date.now() > end) {
            throw new DeadlineError(`${what}: not so within ${ms} ms`);
        }
        await pause(10);
    }
}

/* For pacing a sender, never for hoping that something has happened meanwhile. */
export function pause(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms));
}

/* Runs `body` and says how long it took. */
export async function timed(body: () => Promise<unknown>): Promise<number> {
    const start = process.hrtime.bigint();
    await body();
    return Number((process.hrtime.bigint() - start) / 1000000n);
}
