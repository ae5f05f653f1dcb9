// Package prometheusremotewrite stands in for Prometheus' package of this path, of which the
// collector's exporter calls one function. The whole one needs Prometheus' configuration, and with
// it the clients of three clouds: a third of the packages to compile.
package prometheusremotewrite

import (
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// TranslatorMetricFromOtelMetric says of a metric what its name in Prometheus depends on.
func TranslatorMetricFromOtelMetric(metric pmetric.Metric) otlptranslator.Metric {
	return otlptranslator.Metric{Name: metric.Name(), Unit: metric.Unit(), Type: kind(metric)}
}

func kind(metric pmetric.Metric) otlptranslator.MetricType {
	switch metric.Type() {
	case pmetric.MetricTypeGauge:
		return otlptranslator.MetricTypeGauge
	case pmetric.MetricTypeSum:
		if metric.Sum().IsMonotonic() {
			return otlptranslator.MetricTypeMonotonicCounter
		}
		return otlptranslator.MetricTypeNonMonotonicCounter
	case pmetric.MetricTypeHistogram:
		return otlptranslator.MetricTypeHistogram
	case pmetric.MetricTypeExponentialHistogram:
		return otlptranslator.MetricTypeExponentialHistogram
	case pmetric.MetricTypeSummary:
		return otlptranslator.MetricTypeSummary
	default:
		return otlptranslator.MetricTypeUnknown
	}
}
