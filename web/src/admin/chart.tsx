/* chart.tsx - a line chart of the last minutes (uPlot on a canvas), with its newest values as text beside it. */
import { useEffect, useRef } from 'preact/hooks';
import { effect } from '@preact/signals';
import type { JSX } from 'preact';
import uPlot from 'uplot';
import { formatShort, SAMPLES_MAX, type Sample, type SeriesName } from './metrics.ts';
import { samples } from './state.ts';

const HEIGHT = 140;

export interface Line {
    series: SeriesName;
    label: string;
    /* One of the colours of the style sheet. */
    colour: 'first' | 'second';
}

interface Props {
    title: string;
    unit: string;
    lines: readonly Line[];
}

function colours(element: Element): (name: string) => string {
    const style = getComputedStyle(element);
    return (name) => style.getPropertyValue(name).trim();
}

function columns(list: readonly Sample[], lines: readonly Line[]): uPlot.AlignedData {
    return [list.map((sample) => sample.time), ...lines.map((line) => list.map((sample) => sample[line.series]))];
}

function makeChart(place: HTMLElement, { unit, lines }: Props): uPlot {
    const colour = colours(place);
    const axis = { stroke: colour('--muted'), grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false } };
    const font = '12px system-ui, sans-serif';
    return new uPlot(
        {
            width: Math.max(80, place.clientWidth),
            height: HEIGHT,
            legend: { show: false },
            cursor: { show: false },
            padding: [8, 4, 0, 0],
            scales: {
                /* Grows from a minute to the whole window, so that a page just opened is not empty. */
                x: {
                    time: true,
                    range: (_chart, min, max) => {
                        const span = Math.min(SAMPLES_MAX, Math.max(60, (max ?? 0) - (min ?? 0)));
                        return [(max ?? 0) - span, max ?? 0];
                    },
                },
                y: { range: (_chart, _min, max) => [0, Math.max(1, (max ?? 0) * 1.15)] },
            },
            axes: [
                {
                    ...axis,
                    font,
                    size: 26,
                    space: 90,
                    values: (_chart, ticks) =>
                        ticks.map((tick) =>
                            new Date(tick * 1000).toLocaleTimeString(undefined, { timeStyle: 'medium' }),
                        ),
                },
                {
                    ...axis,
                    font,
                    size: 58,
                    space: 36,
                    values: (_chart, ticks) => ticks.map((tick) => formatShort(tick, unit)),
                },
            ],
            series: [
                {},
                ...lines.map((line, index) => ({
                    stroke: colour(`--chart-${line.colour}`),
                    fill: index === 0 ? colour(`--chart-${line.colour}-soft`) : undefined,
                    width: 1.75,
                    points: { show: false },
                    spanGaps: false,
                })) as uPlot.Series[],
            ],
        },
        columns(samples.peek(), lines),
        place,
    );
}

export function Chart(props: Props): JSX.Element {
    const place = useRef<HTMLDivElement>(null);
    useEffect(() => {
        const element = place.current!;
        let chart = makeChart(element, props);
        const rebuild = (): void => {
            chart.destroy();
            chart = makeChart(element, props);
        };
        const stop = effect(() => chart.setData(columns(samples.value, props.lines)));
        const resize = new ResizeObserver(() => {
            chart.setSize({ width: Math.max(80, element.clientWidth), height: HEIGHT });
        });
        resize.observe(element);
        /* The canvas does not follow the colours of the theme by itself. */
        const theme = new MutationObserver(rebuild);
        theme.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] });
        const system = matchMedia('(prefers-color-scheme: dark)');
        system.addEventListener('change', rebuild);
        return () => {
            stop();
            resize.disconnect();
            theme.disconnect();
            system.removeEventListener('change', rebuild);
            chart.destroy();
        };
    }, []);
    const newest = samples.value[samples.value.length - 1];
    return (
        <section class="card chart" aria-label={props.title}>
            <h3>{props.title}</h3>
            <dl class="legend">
                {props.lines.map((line) => (
                    <div key={line.series}>
                        <dt class={line.colour}>{line.label}</dt>
                        <dd data-series={line.series}>{formatShort(newest?.[line.series] ?? null, props.unit)}</dd>
                    </div>
                ))}
            </dl>
            <div class="chart-place" ref={place} aria-hidden="true" />
        </section>
    );
}
