// The loops of logits.h, written in the vector types of GCC and Clang: left to themselves the
// compilers do not vectorise a maximum that NaNs must not change, nor a sum.
#include "logits.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace mn {

namespace {

// Vectors of so many bytes. Those of 16 are native to every CPU, and looking for maxima with them
// is as fast as memory is.
template <int bytes> struct vectors {
    typedef float floats __attribute__((vector_size(bytes)));
    typedef float loaded __attribute__((vector_size(bytes), aligned(4), may_alias));
    typedef int32_t mask __attribute__((vector_size(bytes)));
    typedef uint32_t bits __attribute__((vector_size(bytes)));
    static constexpr int32_t lanes = bytes / sizeof(float);
};

using floats = vectors<16>::floats;
using loaded = vectors<16>::loaded;
using mask = vectors<16>::mask;

constexpr int32_t stride = 16; // four vectors of four, so that four maxima are found at once
constexpr int32_t sub_block = 32;
constexpr int32_t largest_block = 256;

inline float larger(float a, float b) { return a > b ? a : b; } // b if a is NaN

inline bool any(const mask &m) { return (m[0] | m[1] | m[2] | m[3]) != 0; }

// The largest of n values that are numbers; -infinity for none. Sets *nan if one is none.
float maximum(const float *x, int32_t n, bool *nan) {
    floats best[4];
    mask nans = {};
    std::fill_n(best, 4, floats{} - INFINITY);
    int32_t i = 0;
    for (; i + stride <= n; i += stride) {
        for (int32_t k = 0; k < 4; k++) {
            floats v = *(const loaded *)(x + i + 4 * k);
            best[k] = v > best[k] ? v : best[k];
            nans |= v != v;
        }
    }
    best[0] = best[0] > best[1] ? best[0] : best[1];
    best[2] = best[2] > best[3] ? best[2] : best[3];
    best[0] = best[0] > best[2] ? best[0] : best[2];
    float max = larger(larger(best[0][0], best[0][1]), larger(best[0][2], best[0][3]));
    for (; i < n; i++) {
        max = larger(x[i], max);
        *nan |= x[i] != x[i];
    }
    *nan |= any(nans);
    return max;
}

// The index of the first value from `start` on that is at least `least`; n if there is none.
int32_t find_at_least(const float *x, int32_t start, int32_t n, float least) {
    int32_t i = start;
    for (; i + sub_block <= n; i += sub_block) {
        mask found = {};
        for (int32_t k = 0; k < sub_block; k += 4) {
            found |= *(const loaded *)(x + i + k) >= least;
        }
        if (any(found)) {
            break;
        }
    }
    while (i < n && !(x[i] >= least)) {
        i++;
    }
    return i;
}

// The sum of exp(x - max) for no x above max. Of each term seven digits are right; below -87, where
// floats end, it stays at exp(-87).
template <int bytes>
__attribute__((always_inline)) inline double sum_exp_by(const float *x, int32_t n, float max) {
    using v = vectors<bytes>;
    using floats = typename v::floats;
    constexpr int32_t lanes = v::lanes, part = 64 * lanes; // few enough terms for a sum in floats
    constexpr float to_whole = 12582912.0f; // 1.5 * 2^23: adding it rounds to a whole number
    const floats least = floats{} - 87.0f;
    double sum = 0;
    int32_t i = 0;
    while (i + lanes <= n) {
        floats terms = {};
        int32_t end = std::min(n, i + part);
        for (; i + lanes <= end; i += lanes) {
            floats y = *(const typename v::loaded *)(x + i) - max;
            y = y > least ? y : least;
            floats shifted = y * 1.44269504f + to_whole; // exp(y) = 2^whole * exp(rest)
            floats whole = shifted - to_whole;
            floats rest = y - whole * 0.693359375f + whole * 2.12194440e-4f;
            floats e = rest * 1.9875691500e-4f + 1.3981999507e-3f; // the polynomial of Cephes
            e = e * rest + 8.3334519073e-3f;
            e = e * rest + 4.1665795894e-2f;
            e = e * rest + 1.6666665459e-1f;
            e = e * rest + 5.0000001201e-1f;
            e = e * rest * rest + rest + 1.0f;
            terms += (floats)((typename v::bits)e + ((typename v::bits)shifted << 23));
        }
        for (int32_t k = 0; k < lanes; k++) {
            sum += terms[k];
        }
    }
    for (; i < n; i++) {
        sum += std::exp(x[i] - max);
    }
    return sum;
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) double sum_exp_avx2(const float *x, int32_t n, float max) {
    return sum_exp_by<32>(x, n, max);
}
#endif

double sum_exp(const float *x, int32_t n, float max) {
#if defined(__x86_64__)
    static const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx2) {
        return sum_exp_avx2(x, n, max);
    }
#endif
    return sum_exp_by<16>(x, n, max);
}

template <int bytes>
__attribute__((always_inline)) inline bool part_maxima_by(const float *x, float *maxima,
                                                          int32_t n) {
    using v = vectors<bytes>;
    using floats = typename v::floats;
    typename v::mask nans = {};
    for (int32_t part = 0; part < n; part++, x += list_part) {
        floats best = floats{} - INFINITY;
        for (int32_t k = 0; k < list_part; k += v::lanes) {
            floats values = *(const typename v::loaded *)(x + k);
            best = values > best ? values : best;
            nans |= values != values;
        }
        float max = best[0];
        for (int32_t k = 1; k < v::lanes; k++) {
            max = larger(best[k], max);
        }
        maxima[part] = max;
    }
    int32_t nan = 0;
    for (int32_t k = 0; k < v::lanes; k++) {
        nan |= nans[k];
    }
    return nan != 0;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) bool part_maxima_avx2(const float *x, float *maxima, int32_t n) {
    return part_maxima_by<32>(x, maxima, n);
}
#endif

// The comparison by which llama.cpp sorts candidates.
bool likelier(const llama_token_data &a, const llama_token_data &b) { return a.logit > b.logit; }

// llama.cpp sorts what is too much for a heap by first putting it into buckets, of which the lowest
// and the highest take what is beyond. The order of equal logits depends on them.
constexpr int32_t n_buckets = 128;
constexpr float buckets_per_unit = 6.4f, first_bucket = 64.0f;
constexpr float bucket_limit = 1e6f; // far above it the numbers of buckets overflow

inline int32_t bucket_of(float logit) {
    float bucket = buckets_per_unit * logit + first_bucket;
    return (int32_t)std::clamp(bucket, 0.0f, (float)(n_buckets - 1));
}

// A number slightly below all logits of a bucket.
inline float below_bucket(int32_t bucket) {
    return bucket == 0 ? -INFINITY : ((float)bucket - first_bucket) / buckets_per_unit - 0.01f;
}

// The sum of exp(logits - max) as llama.cpp's softmax finds it: in floats, one after the other.
// A term below half a unit of the last place of the sum so far does not change it, and most are.
float sum_in_order(const float *x, int32_t n, float max) {
    constexpr float negligible = 18.0f; // exp(-18) is less than 2^-25, with room for rounding
    float sum = 0, least = -INFINITY, update_at = 0;
    for (int32_t i = find_at_least(x, 0, n, least); i < n; i = find_at_least(x, i + 1, n, least)) {
        sum += std::exp(x[i] - max);
        if (sum >= update_at) {
            least = max + std::log(sum) - negligible;
            update_at = sum * 1.1f;
        }
    }
    return sum;
}

// Sorts the k largest to the front. False if equal logits leave more than one way to do it.
bool sort_distinct(std::vector<llama_token_data> &list, int32_t k) {
    auto middle = list.begin() + k;
    if (middle != list.end()) {
        std::nth_element(list.begin(), middle, list.end(), likelier);
    }
    std::sort(list.begin(), middle, likelier);
    auto last = middle == list.end() ? middle : middle + 1;
    auto equal = [](const llama_token_data &a, const llama_token_data &b) {
        return !likelier(a, b);
    };
    return std::adjacent_find(list.begin(), last, equal) == last;
}

} // namespace

void top_selector::survey(const float *logits, int32_t n, int32_t k) {
    width_ = largest_block;
    while (width_ > sub_block && n / width_ < 4 * k) {
        width_ /= 2;
    }
    maxima_.resize((n + width_ - 1) / width_);
    nan_ = false;
    max_ = -INFINITY;
    for (size_t block = 0; block < maxima_.size(); block++) {
        int32_t start = (int32_t)block * width_;
        maxima_[block] = maximum(logits + start, std::min(width_, n - start), &nan_);
        max_ = larger(maxima_[block], max_);
    }
}

// A value that at least k logits reach: the kth largest of the blocks' maxima.
float top_selector::lower_bound(int32_t k) {
    if ((int32_t)maxima_.size() < k) {
        return -INFINITY;
    }
    heap_ = maxima_;
    std::nth_element(heap_.begin(), heap_.begin() + (k - 1), heap_.end(), std::greater<float>());
    return heap_[k - 1];
}

// The logits of at least `least`, in the order of their ids.
void top_selector::collect(const float *logits, int32_t n, float least,
                           std::vector<llama_token_data> &out) {
    out.clear();
    for (size_t block = 0; block < maxima_.size(); block++) {
        if (!(maxima_[block] >= least)) {
            continue;
        }
        int32_t i = (int32_t)block * width_, end = std::min(n, i + width_);
        while ((i = find_at_least(logits, i, end, least)) < end) {
            out.push_back({i, logits[i], 0});
            i++;
        }
    }
}

// The first k logits and every later one that is larger than the kth largest before it. A partial
// sort that keeps a heap of k looks at all others and leaves everything as it was, so sorting
// these gives what sorting the whole row gives, ties included.
void top_selector::collect_entrants(const float *logits, int32_t n, int32_t k,
                                    std::vector<llama_token_data> &out) {
    out.clear();
    heap_.assign(logits, logits + k);
    std::make_heap(heap_.begin(), heap_.end(), std::greater<float>());
    heap_.push_back(0); // the place from which pop_heap takes what comes in
    for (int32_t i = 0; i < k; i++) {
        out.push_back({i, logits[i], 0});
    }
    for (size_t block = k / width_; block < maxima_.size(); block++) {
        int32_t i = std::max((int32_t)block * width_, k);
        int32_t end = std::min(n, (int32_t)(block + 1) * width_);
        while (maxima_[block] > heap_[0] &&
               (i = find_at_least(logits, i, end, std::nextafter(heap_[0], INFINITY))) < end) {
            out.push_back({i, logits[i], 0});
            heap_[k] = logits[i];
            std::pop_heap(heap_.begin(), heap_.end(), std::greater<float>());
            i++;
        }
    }
}

// The bucket of the kth largest logit.
int32_t top_selector::bucket_of_kth(const float *logits, int32_t n, int32_t k,
                                    std::vector<llama_token_data> &buffer) {
    float least = lower_bound(k);
    if (least > -INFINITY) {
        collect(logits, n, least, buffer);
        std::nth_element(buffer.begin(), buffer.begin() + (k - 1), buffer.end(), likelier);
        return bucket_of(buffer[k - 1].logit);
    }
    int32_t counts[n_buckets] = {};
    for (int32_t i = 0; i < n; i++) {
        counts[bucket_of(logits[i])]++;
    }
    int32_t bucket = n_buckets - 1;
    for (int32_t above = counts[bucket]; above < k; above += counts[bucket]) {
        bucket--;
    }
    return bucket;
}

// Puts the logits of the kth largest one's bucket and of those above into by_bucket_. Those of one
// bucket are in the order of their ids.
void top_selector::take_buckets(const float *logits, int32_t n, int32_t k,
                                std::vector<llama_token_data> &buffer) {
    int32_t lowest = bucket_of_kth(logits, n, k, buffer);
    collect(logits, n, below_bucket(lowest), buffer);
    auto below = [&](const llama_token_data &t) { return bucket_of(t.logit) < lowest; };
    buffer.erase(std::remove_if(buffer.begin(), buffer.end(), below), buffer.end());
    bucket_start_.assign(n_buckets - lowest + 1, 0);
    for (const llama_token_data &t : buffer) {
        bucket_start_[n_buckets - bucket_of(t.logit)]++;
    }
    std::partial_sum(bucket_start_.begin(), bucket_start_.end(), bucket_start_.begin());
    int32_t end[n_buckets];
    std::copy(bucket_start_.begin(), bucket_start_.end() - 1, end);
    by_bucket_.resize(buffer.size());
    for (const llama_token_data &t : buffer) {
        by_bucket_[end[n_buckets - 1 - bucket_of(t.logit)]++] = t;
    }
}

// Sorts the k largest in by_bucket_ as llama.cpp does: the buckets one by one, and the lowest only
// until there are k in all.
void top_selector::sort_buckets(int32_t k) {
    auto begin = by_bucket_.begin();
    size_t last = bucket_start_.size() - 2;
    for (size_t i = 0; i < last; i++) {
        std::sort(begin + bucket_start_[i], begin + bucket_start_[i + 1], likelier);
    }
    std::partial_sort(begin + bucket_start_[last], begin + k, by_bucket_.end(), likelier);
}

bool top_selector::top_k(const float *logits, int32_t n, int32_t k,
                         std::vector<llama_token_data> &out) {
    if (k >= n) {
        return false;
    }
    survey(logits, n, k);
    if (nan_) {
        return false;
    }
    if (k > heap_limit) {
        if (!(max_ < bucket_limit)) {
            return false;
        }
        take_buckets(logits, n, k, out);
        sort_buckets(k);
        out.assign(by_bucket_.begin(), by_bucket_.begin() + k);
        return true;
    }
    collect(logits, n, lower_bound(k), out);
    if (!sort_distinct(out, k)) {
        collect_entrants(logits, n, k, out);
        std::partial_sort(out.begin(), out.begin() + k, out.end(), likelier);
    }
    out.resize(k);
    return true;
}

// llama.cpp looks for the end of the nucleus among the 256 likeliest, and when it is not there,
// sorts all. Sorting one bucket after the other finds the same.
bool top_selector::top_p(const float *logits, int32_t n, float p, size_t min_keep,
                         std::vector<llama_token_data> &out) {
    constexpr int32_t small = 1024; // so few are always sorted whole, in another way
    constexpr int32_t first_try = 256, most = 16384;
    if (n <= small) {
        return false;
    }
    survey(logits, n, first_try);
    if (nan_ || !(std::fabs(max_) < bucket_limit)) {
        return false;
    }
    float total = sum_in_order(logits, n, max_), sum = 0;
    size_t kept = 0;
    auto ends_before = [&](size_t end) {
        while (kept < end) {
            sum += std::exp(by_bucket_[kept++].logit - max_) / total;
            if (sum >= p && kept >= min_keep) {
                out.assign(by_bucket_.begin(), by_bucket_.begin() + kept);
                return true;
            }
        }
        return false;
    };
    take_buckets(logits, n, first_try, out);
    sort_buckets(first_try);
    if (ends_before(first_try)) {
        return true;
    }
    take_buckets(logits, n, std::min(most, n / 2), out);
    if ((int32_t)by_bucket_.size() == n) {
        return false; // the lowest bucket of all is sorted in another way
    }
    for (size_t i = 0; i + 1 < bucket_start_.size(); i++) {
        auto begin = by_bucket_.begin();
        std::sort(begin + bucket_start_[i], begin + bucket_start_[i + 1], likelier);
        if (ends_before(bucket_start_[i + 1])) {
            return true;
        }
    }
    return false;
}

bool top_selector::min_p(const float *logits, int32_t n, float p, size_t min_keep,
                         std::vector<llama_token_data> &out) {
    survey(logits, n, 1);
    if (nan_ || max_ == -INFINITY) {
        return false;
    }
    collect(logits, n, max_ + std::log(p), out);
    return !out.empty() && out.size() >= min_keep;
}

void top_selector::top_ids(const float *logits, int32_t n, int32_t k,
                           std::vector<llama_token_data> &out) {
    survey(logits, n, k);
    collect(logits, n, lower_bound(k), out);
    k = std::min(k, (int32_t)out.size());
    auto before = [](const llama_token_data &a, const llama_token_data &b) {
        return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
    };
    std::partial_sort(out.begin(), out.begin() + k, out.end(), before);
    out.resize(k);
}

bool part_maxima(const float *x, float *maxima, int32_t n) {
#if defined(__x86_64__)
    static const bool avx2 = __builtin_cpu_supports("avx2");
    if (avx2) {
        return part_maxima_avx2(x, maxima, n);
    }
#endif
    return part_maxima_by<16>(x, maxima, n);
}

bool keep_largest(std::vector<llama_token_data> &list, int32_t k) {
    bool distinct = sort_distinct(list, k);
    list.resize(k);
    return distinct;
}

bool has_nan(const float *logits, int32_t n) {
    bool nan = false;
    maximum(logits, n, &nan);
    return nan;
}

int32_t argmax(const float *logits, int32_t n) {
    float max = -INFINITY;
    int32_t found = 0; // the first block with the maximum
    bool nan = false;
    for (int32_t block = 0; block < n; block += largest_block) {
        float m = maximum(logits + block, std::min(largest_block, n - block), &nan);
        if (m > max) {
            max = m;
            found = block;
        }
    }
    return nan ? -1 : find_at_least(logits, found, n, max);
}

double log_sum_exp(const float *logits, int32_t n, float max) {
    return max + std::log(sum_exp(logits, n, max));
}

} // namespace mn
