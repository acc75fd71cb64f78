#include "host/fetch/download.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <memory>
#include <mutex>
#include <optional>

namespace kante {
namespace {

using Kind = DownloadEnd::Kind;

constexpr long kRedirectsMax = 5;
constexpr std::int64_t kAfterSecondsMax = 3600;
constexpr std::size_t kErrorBodyMax = 64 * 1024;

struct FreeEasy {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};

void setUpOnce() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

bool equalsIgnoringCase(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return std::tolower(static_cast<unsigned char>(x)) ==
                  std::tolower(static_cast<unsigned char>(y));
         });
}

// "bytes 100-199/200" begins at 100.
std::optional<std::uint64_t> beginOf(std::string_view range) {
  constexpr std::string_view kUnit = "bytes ";
  if (!range.starts_with(kUnit)) return std::nullopt;
  range.remove_prefix(kUnit.size());
  std::uint64_t begin = 0;
  const auto [end, error] = std::from_chars(range.data(), range.data() + range.size(), begin);
  if (error != std::errc() || end == range.data() + range.size() || *end != '-')
    return std::nullopt;
  return begin;
}

// One answer after the other, when there are redirections; the last one counts.
class Transfer {
 public:
  Transfer(PartFile& part, const GoesOn& goes_on) : part_(part), goes_on_(goes_on) {}

  void header(std::string_view line) {
    if (line.starts_with("HTTP/")) {
      range_begin_.reset();
      begun_ = false;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos ||
        !equalsIgnoringCase(line.substr(0, colon), "content-range"))
      return;
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && (value.front() == ' ' || value.front() == '\t'))
      value.remove_prefix(1);
    range_begin_ = beginOf(value);
  }

  // False ends the transfer.
  bool body(long code, std::string_view bytes) {
    if (code != 200 && code != 206) {  // Words about an error, for nobody.
      words_ += bytes.size();
      return words_ <= kErrorBodyMax;
    }
    if (!begun_ && !begin(code)) return false;
    if (Status kept = part_.append(bytes); !kept) {
      failed_ = kept.error();
      return false;
    }
    return goesOn();
  }

  bool goesOn() {
    if (goes_on_(part_.bytes(), part_.bytesOfAll())) return true;
    cancelled_ = true;
    return false;
  }

  bool wasCancelled() const { return cancelled_; }
  bool saidTooMuch() const { return words_ > kErrorBodyMax; }
  const std::optional<Error>& failed() const { return failed_; }

 private:
  bool begin(long code) {
    begun_ = true;
    if (code == 206 && range_begin_ && *range_begin_ == part_.bytes()) return true;
    if (code == 206 && part_.bytes() != 0) {
      failed_ = fail(Errc::kUnavailable, "the server sent another range than it was asked for");
      return false;
    }
    if (Status empty = part_.restart(); !empty) failed_ = empty.error();
    return !failed_;
  }

  PartFile& part_;
  const GoesOn& goes_on_;
  std::optional<std::uint64_t> range_begin_;
  std::optional<Error> failed_;
  std::size_t words_ = 0;
  bool begun_ = false;
  bool cancelled_ = false;
};

struct Running {
  CURL* handle;
  Transfer transfer;
};

std::size_t onHeader(char* bytes, std::size_t, std::size_t count, void* context) {
  static_cast<Running*>(context)->transfer.header({bytes, count});
  return count;
}

std::size_t onBody(char* bytes, std::size_t, std::size_t count, void* context) {
  auto& running = *static_cast<Running*>(context);
  long code = 0;
  curl_easy_getinfo(running.handle, CURLINFO_RESPONSE_CODE, &code);
  return running.transfer.body(code, {bytes, count}) ? count : 0;
}

int onProgress(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Running*>(context)->transfer.goesOn() ? 0 : 1;
}

template <typename Value>
void set(CURL* handle, CURLoption option, Value value) {
  KANTE_ASSERT(curl_easy_setopt(handle, option, value) == CURLE_OK);
}

void setUp(Running& running, const FetchSource& source, const PartFile& part,
           const DownloadOptions& options, char* reason) {
  CURL* handle = running.handle;
  set(handle, CURLOPT_URL, source.target.c_str());
  const bool plain = source.target.starts_with("http://");
  set(handle, CURLOPT_PROTOCOLS_STR, plain ? "http,https" : "https");
  set(handle, CURLOPT_REDIR_PROTOCOLS_STR, "https");
  set(handle, CURLOPT_FOLLOWLOCATION, 1L);
  set(handle, CURLOPT_MAXREDIRS, kRedirectsMax);
  set(handle, CURLOPT_NOSIGNAL, 1L);  // There are other threads.
  set(handle, CURLOPT_ERRORBUFFER, reason);
  set(handle, CURLOPT_USERAGENT, "kante");
  set(handle, CURLOPT_CONNECTTIMEOUT, options.connect_s);
  set(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(handle, CURLOPT_LOW_SPEED_TIME, options.silent_s);
  set(handle, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(handle, CURLOPT_MAX_RECV_SPEED_LARGE, static_cast<curl_off_t>(options.bytes_per_s));
  if (!options.ca.empty()) {
    set(handle, CURLOPT_CAINFO, options.ca.c_str());
    set(handle, CURLOPT_CAPATH, static_cast<char*>(nullptr));
  }
  if (!options.proxy.empty()) set(handle, CURLOPT_PROXY, options.proxy.c_str());
  // Not CURLOPT_RESUME_FROM: a server that sends all of it again is fine.
  if (part.bytes() != 0) set(handle, CURLOPT_RANGE, (std::to_string(part.bytes()) + "-").c_str());
  set(handle, CURLOPT_HEADERFUNCTION, &onHeader);
  set(handle, CURLOPT_HEADERDATA, static_cast<void*>(&running));
  set(handle, CURLOPT_WRITEFUNCTION, &onBody);
  set(handle, CURLOPT_WRITEDATA, static_cast<void*>(&running));
  set(handle, CURLOPT_XFERINFOFUNCTION, &onProgress);
  set(handle, CURLOPT_XFERINFODATA, static_cast<void*>(&running));
  set(handle, CURLOPT_NOPROGRESS, 0L);
}

std::int64_t afterSeconds(CURL* handle) {
  curl_off_t after = 0;
  curl_easy_getinfo(handle, CURLINFO_RETRY_AFTER, &after);
  return std::clamp<std::int64_t>(after, 0, kAfterSecondsMax);
}

// The answer came, whatever it says.
DownloadEnd endOf(CURL* handle, PartFile& part) {
  long code = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &code);
  const std::string said = "the server answered " + std::to_string(code);
  if (code == 416) {
    // There is no rest: what is here was never the beginning of it.
    if (Status empty = part.restart(); !empty) return {Kind::kAgain, empty.error().text, 0};
    return {Kind::kAgain, "what had come is not the beginning of what is there now", 0};
  }
  if (code == 200 || code == 206) {
    if (part.isWhole()) return {Kind::kWhole, {}, 0};
    return {Kind::kAgain,
            "it ended after " + std::to_string(part.bytes()) + " bytes" +
                (part.bytesOfAll() == 0 ? "" : " of " + std::to_string(part.bytesOfAll())),
            0};
  }
  const bool later = code == 408 || code == 425 || code == 429 || code >= 500;
  return {later ? Kind::kAgain : Kind::kRefused, said, later ? afterSeconds(handle) : 0};
}

bool isForGood(CURLcode code) {
  switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:  // Of a redirection: to http, say.
    case CURLE_URL_MALFORMAT:
    case CURLE_TOO_MANY_REDIRECTS: return true;
    default: return false;
  }
}

}  // namespace

DownloadEnd download(const FetchSource& source, PartFile& part, const DownloadOptions& options,
                     const GoesOn& goes_on) {
  if (part.isWhole()) return {Kind::kWhole, {}, 0};
  setUpOnce();
  const std::unique_ptr<CURL, FreeEasy> handle(curl_easy_init());
  if (!handle) return {Kind::kAgain, "no memory", 0};
  Running running{handle.get(), Transfer(part, goes_on)};
  char reason[CURL_ERROR_SIZE] = "";
  setUp(running, source, part, options, reason);
  const CURLcode code = curl_easy_perform(handle.get());
  if (running.transfer.wasCancelled()) return {Kind::kCancelled, {}, 0};
  if (const auto& failed = running.transfer.failed()) {
    const bool bytes = failed->code == Errc::kCorrupt || failed->code == Errc::kLimit ||
                       failed->code == Errc::kUnsupported;
    if (bytes || failed->code == Errc::kUnavailable) (void)part.restart();
    return {bytes ? Kind::kRefused : Kind::kAgain, failed->text, 0};
  }
  if (Status kept = part.sync(); !kept) return {Kind::kAgain, kept.error().text, 0};
  if (code == CURLE_OK || running.transfer.saidTooMuch()) return endOf(handle.get(), part);
  return {isForGood(code) ? Kind::kRefused : Kind::kAgain,
          *reason != '\0' ? reason : curl_easy_strerror(code), 0};
}

}  // namespace kante
