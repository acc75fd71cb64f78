#include "host/hub/mqtt/gather.h"

namespace kante::hub {
namespace {

iovec part(std::string_view bytes) { return {const_cast<char*>(bytes.data()), bytes.size()}; }

}  // namespace

void Leftover::parts(std::vector<iovec>& out) const {
  out.clear();
  for (std::size_t i = first_; i < pieces_.size(); ++i)
    out.push_back(part(pieces_[i].bytes().substr(i == first_ ? offset_ : 0)));
}

void Leftover::sent(std::size_t bytes) {
  bytes_ -= bytes;
  offset_ += bytes;
  while (first_ < pieces_.size() && offset_ >= pieces_[first_].bytes().size()) {
    offset_ -= pieces_[first_].bytes().size();
    pieces_[first_++] = {};
  }
  if (empty()) *this = {};
}

void Gather::payload(const PublicationRef& publication) {
  const std::string_view payload = publication->payload();
  if (payload.size() <= kCopiedMax) {
    bytes_ += payload;
  } else {
    payloads_.push_back({bytes_.size(), publication});
    payload_bytes_ += payload.size();
  }
  appended();
}

template <typename Call>
void Gather::forEach(Call&& call) const {
  const std::string_view all = bytes_;
  std::size_t at = 0;
  for (const Payload& one : payloads_) {
    if (one.after > at) call(all.substr(at, one.after - at), nullptr);
    at = one.after;
    call(one.publication->payload(), &one.publication);
  }
  if (all.size() > at) call(all.substr(at), nullptr);
}

void Gather::parts(std::vector<iovec>& out) const {
  out.clear();
  forEach([&](std::string_view bytes, const PublicationRef*) { out.push_back(part(bytes)); });
}

Leftover Gather::rest(std::size_t sent) const {
  Leftover out;
  forEach([&](std::string_view bytes, const PublicationRef* publication) {
    if (sent >= bytes.size()) {
      sent -= bytes.size();
      return;
    }
    if (publication != nullptr) {
      out.offset_ = out.pieces_.empty() ? sent : out.offset_;
      out.pieces_.push_back({*publication, {}});
    } else {
      out.pieces_.push_back({{}, std::string(bytes.substr(sent))});
    }
    out.bytes_ += bytes.size() - sent;
    sent = 0;
  });
  return out;
}

void Gather::clear() {
  bytes_.clear();
  if (bytes_.capacity() > 4 * kFull) {
    std::string().swap(bytes_);
    bytes_.reserve(kFull + (16u << 10));
  }
  payloads_.clear();
  payload_bytes_ = size_ = 0;
}

}  // namespace kante::hub
