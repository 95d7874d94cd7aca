import { resourceFromAttributes } from '@opentelemetry/resources';
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import { GATEWAY_VERSION } from './version';

/** Hands the current numbers to whoever asks; nothing is pushed. */
class PullReader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

export interface Telemetry {
  /** Counts one answered request. */
  answered(route: string, status: number, milliseconds: number): void;
  /** Every number so far. */
  collect(): Promise<object>;
}

/** Keeps the numbers of this process, named after its gateway. */
export function startTelemetry(gateway: string | null): Telemetry {
  const resource = resourceFromAttributes({
    'service.name': 'app-gateway',
    'service.version': GATEWAY_VERSION,
    'service.instance.id': gateway ?? `pid-${process.pid}`,
  });
  const reader = new PullReader();
  const meter = new MeterProvider({ resource, readers: [reader] }).getMeter('app-gateway');
  const duration = meter.createHistogram('http.server.request.duration', { unit: 'ms' });
  return {
    answered: (route, status, milliseconds) => duration.record(milliseconds, { route, status }),
    collect: async () => (await reader.collect()).resourceMetrics.scopeMetrics,
  };
}
