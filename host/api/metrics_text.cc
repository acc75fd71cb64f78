#include "host/api/metrics_text.h"

#include <charconv>
#include <cmath>

namespace kante {
namespace {

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  char out[32];
  if (value == std::floor(value) && std::abs(value) < 9e15) {  // Exact: no exponent for counts.
    const auto end = std::to_chars(out, out + sizeof out, static_cast<long long>(value)).ptr;
    return {out, end};
  }
  const auto end = std::to_chars(out, out + sizeof out, value).ptr;
  return {out, end};
}

// Help keeps its quotes; a label value does not.
enum class Inside { kHelp, kLabel };
std::string escaped(std::string_view text, Inside inside) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && inside == Inside::kLabel) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
  return out;
}

// {a="b",le="1"}, or nothing.
std::string labelText(MetricWriter::Labels labels, std::string_view upper = {}) {
  std::string out;
  for (const auto& [key, value] : labels) {
    out +=
        (out.empty() ? "" : ",") + std::string(key) + "=\"" + escaped(value, Inside::kLabel) + '"';
  }
  if (!upper.empty()) out += (out.empty() ? "le=\"" : ",le=\"") + std::string(upper) + '"';
  return out.empty() ? out : "{" + out + "}";
}

}  // namespace

MetricsText::Family* MetricsText::family(std::string_view name, std::string_view help,
                                         const char* type) {
  auto at = by_name_.find(name);
  if (at == by_name_.end()) {
    at = by_name_.emplace(std::string(name), families_.size()).first;
    families_.push_back({std::string(name), std::string(help), type, {}, 0});
  }
  Family& found = families_[at->second];
  if (std::string_view(found.type) != type || found.count == kSeriesMax) {
    ++cut_;
    return nullptr;
  }
  ++found.count;
  return &found;
}

void MetricsText::counter(std::string_view name, std::string_view help, Labels labels,
                          double value) {
  if (Family* to = family(name, help, "counter")) {
    to->series += std::string(name) + labelText(labels) + ' ' + number(value) + '\n';
  }
}

void MetricsText::gauge(std::string_view name, std::string_view help, Labels labels, double value) {
  if (Family* to = family(name, help, "gauge")) {
    to->series += std::string(name) + labelText(labels) + ' ' + number(value) + '\n';
  }
}

void MetricsText::histogram(std::string_view name, std::string_view help, Labels labels,
                            const std::vector<Bucket>& buckets, double sum) {
  Family* to = family(name, help, "histogram");
  if (to == nullptr) return;
  const std::string prefix(name);
  std::uint64_t count = 0;
  for (const Bucket& bucket : buckets) {
    count = bucket.count;
    to->series += prefix + "_bucket" + labelText(labels, number(bucket.upper)) + ' ' +
                  std::to_string(bucket.count) + '\n';
  }
  if (buckets.empty() || !std::isinf(buckets.back().upper)) {
    to->series +=
        prefix + "_bucket" + labelText(labels, "+Inf") + ' ' + std::to_string(count) + '\n';
  }
  to->series += prefix + "_sum" + labelText(labels) + ' ' + number(sum) + '\n';
  to->series += prefix + "_count" + labelText(labels) + ' ' + std::to_string(count) + '\n';
}

std::string MetricsText::text() const {
  std::string out;
  for (const Family& each : families_) {
    out += "# HELP " + each.name + ' ' + escaped(each.help, Inside::kHelp) + '\n';
    out += "# TYPE " + each.name + ' ' + each.type + '\n';
    out += each.series;
  }
  if (cut_ > 0) {
    out +=
        "# HELP kante_metrics_cut Series left out of this answer\n# TYPE kante_metrics_cut gauge\n";
    out += "kante_metrics_cut " + std::to_string(cut_) + '\n';
  }
  return out;
}

}  // namespace kante
