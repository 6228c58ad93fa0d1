/* proxy.ts - a TCP proxy that can be cut: the network between a client and the server. */
import net from 'node:net';

export class Proxy {
    port = 0;
    private readonly pairs = new Set<[net.Socket, net.Socket]>();
    private isOpen = true;
    private readonly listener: net.Server;

    private constructor(listener: net.Server) {
        this.listener = listener;
    }

    static async open(target: () => number): Promise<Proxy> {
        const listener = net.createServer();
        const proxy = new Proxy(listener);
        listener.on('connection', (near) => {
            if (!proxy.isOpen) {
                near.destroy();
                return;
            }
            const far = net.connect({ port: target(), host: '127.0.0.1' });
            const pair: [net.Socket, net.Socket] = [near, far];
            proxy.pairs.add(pair);
            for (const [from, to] of [pair, [far, near]] as [net.Socket, net.Socket][]) {
                from.on('data', (chunk) => to.write(chunk));
                from.on('end', () => to.end());
                from.on('error', () => undefined);
                from.on('close', () => {
                    to.destroy();
                    proxy.pairs.delete(pair);
                });
            }
        });
        await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
        proxy.port = (listener.address() as net.AddressInfo).port;
        return proxy;
    }

    /* Breaks every connection without a word. */
    cut() {
        this.pairs.forEach(([near, far]) => {
            near.resetAndDestroy();
            far.resetAndDestroy();
        });
    }

    /* While it is closed, new connections are broken as well. */
    setOpen(isOpen: boolean) {
        this.isOpen = isOpen;
    }

    close() {
        this.cut();
        this.listener.close();
    }
}
