// An answer while it is generated, as a promise for each part.
#ifndef MULLAMA_NODE_STREAM_H
#define MULLAMA_NODE_STREAM_H

#include "channel.h"

#include <condition_variable>
#include <deque>

namespace mullama {

// Stream has its parts delivered by the library, one for each call of next. The library's thread
// waits for that call after it has delivered a part: so nothing piles up for a slow reader, and a
// cancel comes after the part that was read last, not after some later one.
class Stream : public std::enable_shared_from_this<Stream> {
  public:
    Stream(const Library *library, mullama_stream *handle) : library_(library), handle_(handle) {}
    ~Stream() { library_->stream_close(handle_); }

    // The promise of the next part, or of undefined after the last one.
    Napi::Value next(Napi::Env env, Napi::Value self);
    Failure cancel();
    void close();

  private:
    static bool on_chunk(const mullama_chunk *chunk, mullama_status status,
                         const mullama_error *error, void *user);
    bool take(const mullama_chunk *chunk);
    void end(const Failure &failure);
    Failure start();

    const Library *const library_;
    mullama_stream *const handle_;
    bool started_ = false; // only the thread of the JavaScript uses it

    std::mutex mutex_; // guards what follows
    std::condition_variable asked_;
    std::deque<std::unique_ptr<Pending>> waiting_; // calls of next that have no part yet
    bool over_ = false;                            // the library has told the end
    bool closed_ = false;                          // parts that still come are dropped
};

} // namespace mullama

#endif
