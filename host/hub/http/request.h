// One request of HTTP/1.1 as it comes in pieces: a head within limits, then a body of a length that
// there are no two opinions about.
//
// Strict where leniency lets two readers of the same bytes disagree: a line ends with CR LF, no
// field is folded, none that frames the body is there twice or beside another one that does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kante::hub {

struct WebRequest {
  std::string method;
  std::string target;                                       // As it came: "/a/b?c=d".
  std::vector<std::pair<std::string, std::string>> fields;  // Names in any case.
  std::string body;

  // The first of that name, in whatever case; null: there is none.
  const std::string* field(std::string_view name) const;
  // Whether a field that is a list has the token, in whatever case.
  bool hasToken(std::string_view name, std::string_view token) const;
  // "/a/b" of "/a/b?c=d", and "c=d".
  std::string_view path() const;
  std::string_view query() const;
};

class WebRequestReader {
 public:
  static constexpr std::size_t kHeadBytesMax = 16u << 10;
  static constexpr std::size_t kFieldsMax = 160;
  static constexpr std::size_t kBodyBytesMax = 256u << 10;

  enum class State : std::uint8_t { kHead, kBody, kDone, kRefused };
  // Takes bytes from the front and says how many, which is all of them until kDone or kRefused.
  std::size_t take(std::string_view bytes);
  State state() const { return state_; }
  bool begun() const { return state_ != State::kHead || !head_.empty(); }
  // From kBody on: the client waits to be told that it may send the body.
  bool expectsContinue() const { return expects_continue_; }
  // From kBody on.
  bool keepsAlive() const { return keeps_alive_; }
  std::size_t bodyBytes() const { return request_.body.size(); }  // That have come.
  // kDone: the request; ready for the next one.
  WebRequest finish();
  // kRefused: the status that says why, and a sentence.
  unsigned status() const { return status_; }
  const char* why() const { return why_; }

 private:
  enum class Chunk : std::uint8_t { kSize, kData, kDataEnd, kLast };
  std::size_t takeHead(std::string_view bytes);
  std::size_t takeSized(std::string_view bytes);
  std::size_t takeChunked(std::string_view bytes);
  bool takeChunkLine();
  void parseHead();
  bool parseLine(std::string_view line);
  bool parseField(std::string_view line);
  bool frame();
  bool refuse(unsigned status, const char* why);

  State state_ = State::kHead;
  WebRequest request_;
  std::string head_;
  std::uint64_t left_ = 0;  // Of the body, or of a chunk.
  std::string line_;        // Of what frames a chunk.
  Chunk chunk_ = Chunk::kSize;
  bool chunked_ = false;
  bool expects_continue_ = false;
  bool keeps_alive_ = true;
  unsigned status_ = 0;
  const char* why_ = "";
};

}  // namespace kante::hub
