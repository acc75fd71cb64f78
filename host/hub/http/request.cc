#include "host/hub/http/request.h"

#include <algorithm>
#include <charconv>

namespace kante::hub {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return lower(x) == lower(y); });
}
bool isTokenChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}
bool isToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), isTokenChar);
}
std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

const std::string* WebRequest::field(std::string_view name) const {
  for (const auto& [known, value] : fields)
    if (same(known, name)) return &value;
  return nullptr;
}

bool WebRequest::hasToken(std::string_view name, std::string_view token) const {
  for (const auto& [known, value] : fields) {
    if (!same(known, name)) continue;
    for (std::string_view rest = value; !rest.empty();) {
      const auto comma = rest.find(',');
      if (same(trim(rest.substr(0, comma)), token)) return true;
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  return false;
}

std::string_view WebRequest::path() const {
  return std::string_view(target).substr(0, target.find('?'));
}
std::string_view WebRequest::query() const {
  const auto at = target.find('?');
  return at == std::string::npos ? std::string_view() : std::string_view(target).substr(at + 1);
}

bool WebRequestReader::refuse(unsigned status, const char* why) {
  state_ = State::kRefused;
  status_ = status;
  why_ = why;
  return false;
}

WebRequest WebRequestReader::finish() {
  WebRequest out = std::move(request_);
  *this = WebRequestReader();
  return out;
}

std::size_t WebRequestReader::take(std::string_view bytes) {
  std::size_t used = 0;
  if (state_ == State::kHead) used = takeHead(bytes);
  if (state_ == State::kBody)
    used += chunked_ ? takeChunked(bytes.substr(used)) : takeSized(bytes.substr(used));
  return used;
}

// ---- the head

std::size_t WebRequestReader::takeHead(std::string_view bytes) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  const std::size_t before = head_.size();
  const std::size_t from = before < kEnd.size() ? 0 : before - (kEnd.size() - 1);
  head_.append(bytes.substr(0, kHeadBytesMax + 1 - std::min(before, kHeadBytesMax)));
  // What is no HTTP at all is known by its first byte; nobody waits for the end of its head.
  if (!head_.empty() && !isTokenChar(head_[0])) {
    refuse(400, "this is no HTTP");
    return bytes.size();
  }
  const auto end = head_.find(kEnd, from);
  if (end == std::string::npos) {
    if (head_.size() > kHeadBytesMax) refuse(431, "the head has more than 16384 bytes");
    return bytes.size();
  }
  const std::size_t used = end + kEnd.size() - before;
  head_.resize(end + 2);
  parseHead();
  head_.clear();
  return used;
}

void WebRequestReader::parseHead() {
  std::string_view rest = head_;
  bool first = true;
  while (!rest.empty()) {
    const auto end = rest.find("\r\n");
    const std::string_view line = rest.substr(0, end);
    if (!(first ? parseLine(line) : parseField(line))) return;
    first = false;
    rest.remove_prefix(end + 2);
  }
  if (!frame()) return;
  state_ = State::kBody;
  if (chunked_ || left_ > 0) return;
  expects_continue_ = false;
  state_ = State::kDone;
}

bool WebRequestReader::parseLine(std::string_view line) {
  const auto first = line.find(' ');
  const auto last = line.rfind(' ');
  if (first == std::string_view::npos || first == last)
    return refuse(400, "the first line is not METHOD TARGET HTTP/1.1");
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (!isToken(method)) return refuse(400, "the method is none");
  if (target.empty() || target[0] != '/' ||
      !std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c < 0x7f; }))
    return refuse(400, "the target is no path");
  const bool is_http = version.size() == 8 && version.starts_with("HTTP/") && version[6] == '.';
  if (!is_http) return refuse(400, "this is no HTTP");
  if (version != "HTTP/1.1") return refuse(505, "HTTP/1.1 is spoken here");
  request_.method = method;
  request_.target = target;
  return true;
}

bool WebRequestReader::parseField(std::string_view line) {
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || !isToken(line.substr(0, colon)))
    return refuse(400, "a field has no name");  // Nor may a line go on in the next.
  const std::string_view value = trim(line.substr(colon + 1));
  const auto isPlain = [](char c) {
    return c == '\t' || (static_cast<unsigned char>(c) >= ' ' && c != 0x7f);
  };
  if (!std::all_of(value.begin(), value.end(), isPlain))
    return refuse(400, "a field has a control character");
  if (request_.fields.size() == kFieldsMax) return refuse(431, "more than 160 fields");
  const std::string_view name = line.substr(0, colon);
  for (const char* once : {"host", "content-length", "transfer-encoding", "authorization"})
    if (same(name, once) && request_.field(once) != nullptr)
      return refuse(400, "a field that may be there once is there twice");
  request_.fields.emplace_back(name, value);
  return true;
}

bool WebRequestReader::frame() {
  if (request_.field("host") == nullptr) return refuse(400, "there is no Host");
  const std::string* const length = request_.field("content-length");
  const std::string* const coding = request_.field("transfer-encoding");
  if (length != nullptr && coding != nullptr)
    return refuse(400, "Content-Length beside Transfer-Encoding");
  keeps_alive_ = !request_.hasToken("connection", "close");
  if (const std::string* expect = request_.field("expect")) {
    if (!same(*expect, "100-continue")) return refuse(417, "only 100-continue can be expected");
    expects_continue_ = true;
  }
  if (coding != nullptr) {
    if (!same(*coding, "chunked")) return refuse(501, "the only transfer coding here is chunked");
    chunked_ = true;
  }
  if (length != nullptr) {
    const char* const end = length->data() + length->size();
    const auto [at, error] = std::from_chars(length->data(), end, left_);
    if (length->empty() || at != end || (*length)[0] == '-' || error == std::errc::invalid_argument)
      return refuse(400, "Content-Length is no number");
    if (error != std::errc() || left_ > kBodyBytesMax)
      return refuse(413, "the body has more than 262144 bytes");
  }
  return true;
}

// ---- the body

std::size_t WebRequestReader::takeSized(std::string_view bytes) {
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
  request_.body.append(bytes.substr(0, count));
  left_ -= count;
  if (left_ == 0) state_ = State::kDone;
  return count;
}

// A line that frames chunks is in line_, whole.
bool WebRequestReader::takeChunkLine() {
  const std::string_view line = std::string_view(line_).substr(0, line_.size() - 2);
  switch (chunk_) {
    case Chunk::kSize: {
      const char* const end = line.data() + line.size();
      const auto [at, error] = std::from_chars(line.data(), end, left_, 16);
      // No extension either: nobody needs one, and readers differ over where it ends.
      if (line.empty() || line[0] == '-' || at != end || error != std::errc())
        return refuse(400, "the size of a chunk is no hexadecimal number");
      if (left_ > kBodyBytesMax - request_.body.size())
        return refuse(413, "the body has more than 262144 bytes");
      chunk_ = left_ == 0 ? Chunk::kLast : Chunk::kData;
      break;
    }
    case Chunk::kDataEnd:
      if (!line.empty()) return refuse(400, "a chunk is longer than it says");
      chunk_ = Chunk::kSize;
      break;
    default:  // kLast
      if (!line.empty()) return refuse(400, "no fields are taken behind the body");
      state_ = State::kDone;
  }
  line_.clear();
  return true;
}

std::size_t WebRequestReader::takeChunked(std::string_view bytes) {
  constexpr std::size_t kLineMax = 18;  // 16 digits.
  std::size_t used = 0;
  while (used < bytes.size() && state_ == State::kBody) {
    if (chunk_ == Chunk::kData) {
      const auto count =
          static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size() - used));
      request_.body.append(bytes.substr(used, count));
      left_ -= count;
      used += count;
      if (left_ == 0) chunk_ = Chunk::kDataEnd;
      continue;
    }
    line_ += bytes[used++];
    const char c = line_.back();
    const bool after_cr = line_.size() > 1 && line_[line_.size() - 2] == '\r';
    if (after_cr != (c == '\n') || line_.size() > kLineMax) {
      refuse(400, "a line that frames a chunk does not end with CR LF");
      break;
    }
    if (c == '\n' && !takeChunkLine()) break;
  }
  return used;
}

}  // namespace kante::hub
