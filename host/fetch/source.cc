#include "host/fetch/source.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

namespace kante {
namespace {

constexpr std::string_view kFile = "file://";
constexpr std::string_view kUplink = "uplink:";

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using UrlPtr = std::unique_ptr<CURLU, FreeUrl>;

Error expected() {
  return fail(Errc::kInvalid, "expected \"https://…\", \"file:///…\" or \"uplink:\"");
}

// Empty: it has none.
std::string partOf(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) return {};
  std::string copy(text);
  curl_free(text);
  return copy;
}

bool isThisMachine(const std::string& host) {
  return host == "localhost" || host == "[::1]" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos);
}

Result<FetchSource> parseUrl(std::string_view text) {
  const UrlPtr url(curl_url());
  if (!url) return fail(Errc::kIo, "no memory");
  const CURLUcode code = curl_url_set(url.get(), CURLUPART_URL, std::string(text).c_str(), 0);
  if (code != CURLUE_OK)
    return fail(Errc::kInvalid, std::string("no URL: ") + curl_url_strerror(code));
  const std::string host = partOf(url.get(), CURLUPART_HOST);
  if (partOf(url.get(), CURLUPART_SCHEME) == "http" && !isThisMachine(host))
    return fail(Errc::kInvalid, "plain http is for this machine only; use https");
  const std::string port = partOf(url.get(), CURLUPART_PORT);
  return FetchSource{FetchSource::Kind::kHttp,
                     std::string(text),
                     partOf(url.get(), CURLUPART_SCHEME) + "://" + host +
                         (port.empty() ? "" : ":" + port) + partOf(url.get(), CURLUPART_PATH),
                     {}};
}

}  // namespace

Result<FetchSource> parseFetchSource(std::string_view text) {
  const auto printable = [](char c) { return c > ' ' && c != '\x7f'; };
  if (text.size() > kFetchSourceBytesMax)
    return fail(Errc::kInvalid, "more than " + std::to_string(kFetchSourceBytesMax) + " bytes");
  if (text.starts_with(kFile)) {
    const std::string path(text.substr(kFile.size()));
    const auto control = [](char c) { return static_cast<unsigned char>(c) < ' '; };
    if (!path.starts_with('/') || std::any_of(path.begin(), path.end(), control)) return expected();
    return FetchSource{FetchSource::Kind::kFile, path, std::string(text), {}};
  }
  if (text == kUplink) return FetchSource{FetchSource::Kind::kUplink, {}, std::string(text), {}};
  if (!text.starts_with("https://") && !text.starts_with("http://")) return expected();
  const std::size_t host = text.find("://") + 3;
  if (host == text.size() || text[host] == '/') return fail(Errc::kInvalid, "it names no host");
  if (!std::all_of(text.begin(), text.end(), printable)) return expected();
  return parseUrl(text);
}

}  // namespace kante
