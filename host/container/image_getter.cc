#include "host/container/image_getter.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <map>
#include <utility>

#include "host/base/log.h"

namespace kante {

struct ImageGetter::Job : std::enable_shared_from_this<Job> {
  Job(const Options& given, std::minstd_rand& random, Patience how, Then done)
      : options(given),
        jitter(random),
        patience(how),
        then(std::move(done)),
        retry(given.control) {}

  void connect();
  void look();
  void pull();
  void add(const PullProgress& step);
  void failed(const Error& why);
  void end(Status status);
  void tell() const {
    if (options.changed) options.changed();
  }

  const Options& options;
  std::minstd_rand& jitter;
  const Patience patience;
  Then then;
  ImageProgress now;
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> layers;  // Bytes, of how many.
  bool is_told = false;                                                   // That it is pulled.
  std::uint64_t told_tenth = 0;
  std::uint32_t tries = 0;
  std::string why;  // Of the last try.
  Engine::Call call;
  boost::asio::steady_timer retry;
};

// Nobody may have spoken to the engine yet.
void ImageGetter::Job::connect() {
  call = options.engine.connect([this](const Result<EngineFacts>& facts) {
    if (!facts) return failed(facts.error());
    look();
  });
}

void ImageGetter::Job::look() {
  call = options.engine.inspectImage(now.image, [this](const Result<ImageFacts>& image) {
    if (image) return end({});
    if (image.error().code != Errc::kNotFound) return failed(image.error());
    pull();
  });
}

void ImageGetter::Job::pull() {
  const auto login = loginFor(options.login, now.image);
  if (!login) return failed(login.error());
  options.log.info("containers", "an image is pulled", {{"image", now.image}});
  layers.clear();
  told_tenth = 0;
  if (!std::exchange(is_told, true)) tell();
  call = options.engine.pullImage(
      now.image, *login ? &**login : nullptr, [this](const PullProgress& step) { add(step); },
      [this](const Status& pulled) {
        if (!pulled) return failed(pulled.error());
        options.on_pulled(now.image);
        end({});
      });
}

void ImageGetter::Job::add(const PullProgress& step) {
  // Layers are loaded, then unpacked, which counts from the start again.
  constexpr std::size_t kLayersMax = 256;
  if (step.bytes_total > 0 && step.text == "Downloading" &&
      (layers.size() < kLayersMax || layers.contains(step.layer)))
    layers[step.layer] = {step.bytes, step.bytes_total};
  if (const auto whole = layers.find(step.layer);
      whole != layers.end() && step.text == "Download complete")
    whole->second.first = whole->second.second;
  now.problem.clear();
  now.bytes = now.of = 0;
  for (const auto& [layer, bytes] : layers) {
    now.bytes += bytes.first;
    now.of += bytes.second;
  }
  const std::uint64_t tenth = now.of == 0 ? 0 : now.bytes * 10 / now.of;
  if (std::exchange(told_tenth, tenth) != tenth) tell();
}

void ImageGetter::Job::failed(const Error& error) {
  call.reset();
  if (patience == Patience::kFewTries && ++tries >= kFewTries) return end(error);
  now.bytes = now.of = 0;
  now.problem = error.text;
  const Times& times = options.times;
  std::int64_t pause_ms = times.few.count();
  if (patience == Patience::kUntilDropped) {
    const std::int64_t most = times.longestAfter(tries++).count();
    // Somewhere in the upper half, so that a fleet does not return in one moment.
    pause_ms = std::uniform_int_distribution<std::int64_t>(most / 2, most)(jitter);
  }
  retry.expires_after(std::chrono::milliseconds(pause_ms));
  retry.async_wait([weak = weak_from_this()](const boost::system::error_code& stopped) {
    if (const auto self = weak.lock(); self && !stopped) self->connect();
  });
  if (std::exchange(why, error.text) == error.text) return;  // It may be tried for days.
  options.log.warn("containers", "an image does not come yet",
                   {{"image", now.image}, {"why", error.text}});
  tell();
}

// Its handle may go with the callback.
void ImageGetter::Job::end(Status status) {
  const auto self = shared_from_this();
  call.reset();
  const Then done = std::move(then);
  done(std::move(status));
}

std::chrono::milliseconds ImageGetter::Times::longestAfter(std::uint32_t tries) const {
  return std::min(first * (1 << std::min(tries, 16u)), last);
}

ImageGetter::ImageGetter(Options options) : options_(std::move(options)) {}
ImageGetter::~ImageGetter() = default;

std::shared_ptr<void> ImageGetter::get(const std::string& image, Patience patience, Then then) {
  auto job = std::make_shared<Job>(options_, jitter_, patience, std::move(then));
  job->now.image = image;
  job->now.registry = registryOf(image);
  last_ = job;
  job->connect();
  return job;
}

ImageProgress ImageGetter::progress() const {
  const auto job = last_.lock();
  return job ? job->now : ImageProgress();
}

}  // namespace kante
