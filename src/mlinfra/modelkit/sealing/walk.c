/* The compiled half of a sealed model: rows in, scores or predictions out, without numpy and without scikit-learn; and,
 * for every model, the quick look at rows before they reach it (Screen, at the end).
 *
 * A model is a handful of flat arrays, mapped from a file that may come from anywhere. They are checked once, when a
 * Model is made; after that the walk trusts them. Every result must equal the estimator's to the last bit, so sums run
 * in the estimator's order, nothing is contracted (-ffp-contract=off) and a quotient is never a product with 1/x.
 *
 * Stable ABI from CPython 3.11. The layouts below are those of program.py; ABI counts their versions.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define HAS_AVX2 1
#include <immintrin.h>
#endif

#ifndef MARK
#define MARK "walk"
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum { ABI = 2 };

/* ---- layouts ------------------------------------------------------------------------------------------------------ */

/* A cell of the input as the model reads it. `table` is NUMBER, UNREAD, or the vocabulary that turns the cell into a
 * code. `missing` and `unknown` are the codes of a missing and of an unseen value, REFUSE where it is refused. */
typedef struct {
    uint32_t column;
    int32_t table, missing, unknown;
} Slot;

typedef struct {
    uint32_t code, first, count, reserved;
    double a, b;
} Op;

typedef struct {
    uint32_t slot, op_first, op_count, kind, cut_first, cut_count, reserved[2];
} Feature;

/* An inner node goes right where value > threshold. `route`: bit 31 a missing value goes right, bits 20-30 the feature,
 * bits 0-19 the distance to the left child, whose sibling is the right one. A leaf has distance 0 and a NaN as its
 * threshold, so that a lane which has arrived stays put; the low 22 bits of that NaN number its row of the leaf table.
 * An inner node with such a NaN tests membership: the low bits number the set of categories that go left. */
typedef struct {
    float threshold;
    uint32_t route;
} Node;

enum { REFUSE = -1, NUMBER = -1, UNREAD = -2 };
enum { OP_FILL, OP_SUB, OP_DIV, OP_MUL, OP_ADD, OP_CLIP, OP_NOT_INFINITE, OP_EQUAL, OP_REPLACE, OP_LOOKUP,
       OP_FLUSH, OP_COUNT };
enum { KIND_DOUBLE, KIND_FLOAT, KIND_RANK, KIND_COUNT };
enum { FORM_NUMBERS, FORM_CELLS };
enum { REFUSE_MISSING = 1, REFUSE_INFINITE = 2, DIVIDE = 4, SCALAR_ONLY = 8, FLOAT_SUMS = 16 };
enum { LINK_NONE, LINK_LOGISTIC, LINK_SOFTMAX, LINK_FLOAT_LOGISTIC, LINK_FLOAT_SOFTMAX };
enum { END_VALUES, END_ROWS, END_LABELS, END_LABELS_FROM_ZERO };
enum { NOT_A_NUMBER = 1, MISSING, INFINITE, TOO_LARGE, UNKNOWN, WRONG_LENGTH };

#define DISTANCE(node) ((node).route & 0xfffffu)
#define FEATURE(node) (((node).route >> 20) & 0x7ffu)
#define LEAF_BITS 0x7fc00000u
#define PAYLOAD 0x003fffffu
#define SET_WORDS 8 /* 256 categories, one bit each */
#define MOST_FEATURES 2048
#define MOST_OUTPUTS 4096
#define MOST_COLUMNS (1 << 20)

enum {
    SLOTS, OPS, KNOWN, FEATURES, CUTS, NODES, ROOTS, BASES, LEAVES, SETS, START, COEFFICIENTS, INTERCEPTS, BUFFERS
};

typedef struct {
    PyObject_HEAD
    Py_buffer buffers[BUFFERS];
    int held; /* buffers that must be released */
    const Slot *slots;
    const Op *ops;
    const double *known, *cuts, *leaves, *start, *coefficients, *intercepts;
    const Feature *features;
    const Node *nodes;
    const uint32_t *roots, *bases, *sets;
    size_t n_slots, n_ops, n_known, n_features, n_cuts, n_nodes, n_trees, n_leaves, n_sets;
    size_t columns, outputs, width;
    int form, flags;
    PyObject *tables, *labels; /* tuples */
} Model;

typedef struct {
    PyObject *refused, *model_type, *screen_type;
} State;

typedef struct {
    size_t row, column;
    int code;
} Refusal;

static uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* ---- the checks that make a foreign file harmless ------------------------------------------------------------------- */

static const char *check_slots(const Model *m)
{
    Py_ssize_t tables = PyTuple_Size(m->tables);
    if (m->form == FORM_NUMBERS && m->n_slots != m->columns)
        return "a model over numbers needs one slot a column";
    for (size_t i = 0; i < m->n_slots; i++) {
        const Slot *slot = &m->slots[i];
        if (slot->column >= m->columns)
            return "a slot reads past the last column";
        if (m->form == FORM_NUMBERS && (slot->column != i || slot->table >= 0))
            return "a model over numbers reads its columns in order";
        if (slot->table >= 0 && slot->table >= tables)
            return "a slot names a vocabulary that is not there";
    }
    return NULL;
}

static const char *check_features(const Model *m)
{
    for (size_t i = 0; i < m->n_ops; i++) {
        const Op *op = &m->ops[i];
        if (op->code >= OP_COUNT)
            return "an unknown operation";
        if (op->code == OP_LOOKUP && ((size_t)op->first + op->count > m->n_known))
            return "an operation looks past the known values";
    }
    size_t used = 0;
    for (size_t i = 0; i < m->n_features; i++) {
        const Feature *feature = &m->features[i];
        used += feature->op_count;
        if (feature->slot >= m->n_slots)
            return "a feature reads a slot that is not there";
        if ((size_t)feature->op_first + feature->op_count > m->n_ops)
            return "a feature names operations that are not there";
        if (feature->kind >= KIND_COUNT || (feature->kind == KIND_DOUBLE) != (m->n_trees == 0))
            return "a feature of the wrong kind";
        if (feature->kind == KIND_RANK && (size_t)feature->cut_first + feature->cut_count > m->n_cuts)
            return "a feature names cuts that are not there";
    }
    return used > m->n_ops ? "features that share operations" : NULL; /* or a small file could keep a server busy */
}

static const char *check_tree(const Model *m, size_t from, size_t end, size_t base)
{
    for (size_t i = from; i < end; i++) {
        Node node = m->nodes[i];
        uint32_t bits = float_bits(node.threshold), distance = DISTANCE(node);
        int marked = (bits & LEAF_BITS) == LEAF_BITS && bits >> 31 == 0;
        if (distance == 0) {
            if (!marked || node.route != 0)
                return "a leaf without its mark";
            if (base + (bits & PAYLOAD) >= m->n_leaves)
                return "a leaf beyond the leaf table";
            continue;
        }
        if (i + distance + 1 >= end)
            return "a node whose children lie outside its tree";
        if (FEATURE(node) >= m->n_features)
            return "a node that reads a feature which is not there";
        if (marked ? (bits & PAYLOAD) >= m->n_sets : node.threshold != node.threshold)
            return "a node without a threshold";
    }
    return NULL;
}

static const char *check_trees(const Model *m)
{
    if (m->n_trees == 0)
        return m->n_nodes ? "nodes without a tree" : NULL;
    if (m->n_features > MOST_FEATURES || m->roots[0] != 0)
        return "trees that start nowhere, or read too many features";
    if (m->width == 0 || (m->width != 1 && m->width != m->outputs))
        return "leaves as wide as neither one output nor all";
    for (size_t t = 0; t < m->n_trees; t++) {
        size_t end = t + 1 < m->n_trees ? m->roots[t + 1] : m->n_nodes;
        if (end <= m->roots[t] || end > m->n_nodes)
            return "a tree without nodes";
        const char *problem = check_tree(m, m->roots[t], end, m->bases[t]);
        if (problem)
            return problem;
    }
    return NULL;
}

static const char *check_model(const Model *m)
{
    const char *problem = check_slots(m);
    if (!problem)
        problem = check_features(m);
    return problem ? problem : check_trees(m);
}

/* ---- cells to features ---------------------------------------------------------------------------------------------- */

/* Notes the first refusal, or every one where `flags` (a byte a column) is given. Returns whether to stop. */
static int refuse(Refusal *refusal, uint8_t *flags, size_t column, int code)
{
    if (flags) {
        if (!flags[column])
            flags[column] = (uint8_t)code;
        return 0;
    }
    refusal->column = column;
    refusal->code = code;
    return 1;
}

/* How many of the `count` ascending cuts lie below the value. */
ALWAYS_INLINE size_t rank(const double *cuts, size_t count, double value)
{
    const double *low = cuts;
    if (count == 0)
        return 0;
    while (count > 1) {
        size_t half = count / 2;
        low += low[half - 1] < value ? half : 0;
        count -= half;
    }
    return (size_t)(low - cuts) + (*low < value);
}

enum { RANKED = 8 };

/* The ranks of many values, several searches at a time, since each step waits for the one before. */
static void rank_all(const double *cuts, size_t count, const double *values, size_t rows, float *ranks)
{
    size_t r = 0;
    for (; count && r + RANKED <= rows; r += RANKED) {
        size_t low[RANKED] = {0};
        for (size_t left = count; left > 1; left -= left / 2)
            for (size_t lane = 0; lane < RANKED; lane++)
                low[lane] += left / 2 & -(size_t)(cuts[low[lane] + left / 2 - 1] < values[r + lane]);
        for (size_t lane = 0; lane < RANKED; lane++) {
            double value = values[r + lane];
            ranks[r + lane] = value != value ? NAN : (float)(low[lane] + (cuts[low[lane]] < value));
        }
    }
    for (; r < rows; r++)
        ranks[r] = values[r] != values[r] ? NAN : (float)rank(cuts, count, values[r]);
}

static int look_up(const Model *m, const Op *op, double *value)
{
    if (*value != *value) {
        *value = op->a;
        return op->a == REFUSE ? MISSING : 0;
    }
    const double *known = m->known + op->first;
    size_t at = rank(known, op->count, *value);
    *value = at < op->count && known[at] == *value ? (double)at : op->b;
    return *value == REFUSE ? UNKNOWN : 0;
}

#define EACH for (size_t i = 0; i < count; i++)

/* Applies one operation to values of one column; returns the code of a refusal among them, 0 for none.
 * A missing value passes through arithmetic. */
ALWAYS_INLINE int apply(const Model *m, const Op *op, double *v, size_t count)
{
    const double a = op->a, b = op->b;
    int code = 0;
    switch (op->code) {
    case OP_FILL: EACH v[i] = v[i] != v[i] ? a : v[i]; return 0;
    case OP_SUB: EACH v[i] = v[i] - a; return 0;
    case OP_DIV: EACH v[i] = v[i] / a; return 0;
    case OP_MUL: EACH v[i] = v[i] * a; return 0;
    case OP_ADD: EACH v[i] = v[i] + a; return 0;
    case OP_CLIP: EACH {
            v[i] = v[i] <= a ? a : v[i];
            v[i] = v[i] >= b ? b : v[i];
        }
        return 0;
    case OP_NOT_INFINITE: EACH code |= fabs(v[i]) == INFINITY; return code ? INFINITE : 0;
    case OP_EQUAL: EACH v[i] = v[i] == a ? 1.0 : 0.0; return 0;
    case OP_REPLACE: EACH v[i] = v[i] == a ? b : v[i]; return 0;
    case OP_FLUSH: EACH v[i] = fabs(v[i]) <= a ? 0.0 : v[i]; return 0;
    default: EACH {
            int found = look_up(m, op, &v[i]);
            code = found ? found : code;
        }
        return code;
    }
}

/* Whether the model takes these values, given as they are and as its trees compare them. */
ALWAYS_INLINE int guard(const Model *m, int kind, const double *values, const float *narrow, size_t count)
{
    int missing = 0, infinite = 0, large = 0;
    if (m->flags & REFUSE_MISSING)
        EACH missing |= values[i] != values[i];
    if (m->flags & REFUSE_INFINITE) {
        EACH infinite |= fabs(values[i]) == INFINITY;
        if (kind == KIND_FLOAT)
            EACH large |= fabsf(narrow[i]) == INFINITY;
    }
    return missing ? MISSING : infinite ? INFINITE : large ? TOO_LARGE : 0;
}

#ifdef HAS_AVX2
#define AVX2_INLINE static inline __attribute__((always_inline, target("avx2")))
#endif

static int has_avx2(void)
{
#ifdef HAS_AVX2
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
#else
    return 0;
#endif
}

enum { COLUMN = 64 }; /* rows of a block whose features stay in the first cache */

/* One feature of at most COLUMN rows, from slots to `wide` or `narrow`, whichever the model uses; both lie row by row. */
ALWAYS_INLINE int compute_feature(const Model *m, size_t f, const double *slots, size_t count, double *wide, float *narrow)
{
    double values[COLUMN];
    float casts[COLUMN];
    const Feature *feature = &m->features[f];
    int code = 0;
    EACH values[i] = slots[i * m->n_slots + feature->slot];
    for (uint32_t o = 0; o < feature->op_count && !code; o++)
        code = apply(m, m->ops + feature->op_first + o, values, count);
    if (feature->kind == KIND_RANK)
        rank_all(m->cuts + feature->cut_first, feature->cut_count, values, count, casts);
    else if (feature->kind == KIND_FLOAT)
        EACH casts[i] = (float)values[i];
    if (!code)
        code = guard(m, (int)feature->kind, values, casts, count);
    if (wide)
        EACH wide[i * m->n_features + f] = values[i];
    else
        EACH narrow[i * m->n_features + f] = casts[i];
    return code;
}

/* One row of slots to one row of features. Returns 1 to stop. */
static int compute_row(const Model *m, const double *slots, double *wide, float *narrow, Refusal *refusal, uint8_t *flags)
{
    for (size_t f = 0; f < m->n_features; f++) {
        int code = compute_feature(m, f, slots, 1, wide, narrow);
        if (code && refuse(refusal, flags, m->slots[m->features[f].slot].column, code))
            return 1;
    }
    return 0;
}

static int compute_rows(const Model *m, const double *slots, size_t rows, double *wide, float *narrow, Refusal *refusal)
{
    for (size_t r = 0; r < rows; r++) {
        size_t at = r * m->n_features;
        refusal->row = r;
        if (compute_row(m, slots + r * m->n_slots, wide ? wide + at : NULL, narrow ? narrow + at : NULL, refusal, NULL))
            return 1;
    }
    return 0;
}

static int compute_column(const Model *m, size_t f, const double *slots, size_t count, double *wide, float *narrow)
{
    return compute_feature(m, f, slots, count, wide, narrow);
}

#ifdef HAS_AVX2
/* The same operations, more of them at once: each rounds as it does alone. */
__attribute__((target("avx2"))) static int compute_column_avx2(
    const Model *m, size_t f, const double *slots, size_t count, double *wide, float *narrow)
{
    return compute_feature(m, f, slots, count, wide, narrow);
}
#else
#define compute_column_avx2 compute_column
#endif

/* Many rows: column by column, which is several times quicker; row by row again where one is refused, to name it. */
static int compute(const Model *m, const double *slots, size_t rows, double *wide, float *narrow, Refusal *refusal)
{
    if (rows == 1)
        return compute_rows(m, slots, rows, wide, narrow, refusal);
    int is_wide = !(m->flags & SCALAR_ONLY) && has_avx2();
    for (size_t from = 0; from < rows; from += COLUMN) {
        size_t count = rows - from < COLUMN ? rows - from : COLUMN, at = from * m->n_features;
        const double *part = slots + from * m->n_slots;
        for (size_t f = 0; f < m->n_features; f++)
            if ((is_wide ? compute_column_avx2 : compute_column)(m, f, part, count, wide ? wide + at : NULL,
                                                                 narrow ? narrow + at : NULL))
                return compute_rows(m, slots, rows, wide, narrow, refusal);
    }
    return 0;
}

/* ---- the walk ------------------------------------------------------------------------------------------------------- */

/* Walks this wide hide the latency of each other's loads. */
enum { LANES = 8 };

/* `sets`: nodes may test membership; a constant where this is inlined. */
ALWAYS_INLINE uint32_t goes_right(Node node, float value, const uint32_t *all_sets, int sets)
{
    uint32_t bits = float_bits(node.threshold);
    if (sets && (bits & LEAF_BITS) == LEAF_BITS && DISTANCE(node)) {
        if (!(value >= 0 && value < 32 * SET_WORDS))
            return node.route >> 31;
        uint32_t category = (uint32_t)value;
        return ~(all_sets[(size_t)(bits & PAYLOAD) * SET_WORDS + category / 32] >> category % 32) & 1;
    }
    return (uint32_t)(value > node.threshold) | ((uint32_t)(value != value) & (node.route >> 31));
}

/* `flags` may ask for sums in float32: the sum of two of them in float64, rounded, is their float32 sum. */
ALWAYS_INLINE void add_leaf(double *scores, const double *leaf, size_t width, int flags)
{
    if (flags & FLOAT_SUMS)
        for (size_t k = 0; k < width; k++)
            scores[k] = (float)(scores[k] + leaf[k]);
    else
        for (size_t k = 0; k < width; k++)
            scores[k] += leaf[k];
}

/* One tree over many rows. `scores` points at the tree's output in the first row. */
ALWAYS_INLINE void walk_rows(
    const Model *m, const Node *tree, const double *leaves, const float *x, size_t rows, double *scores, int sets)
{
    size_t width = m->n_features, r = 0;
    for (; r + LANES <= rows; r += LANES) {
        uint32_t at[LANES] = {0}, moving;
        do {
            moving = 0;
            for (size_t lane = 0; lane < LANES; lane++) {
                Node node = tree[at[lane]];
                float value = x[(r + lane) * width + FEATURE(node)];
                at[lane] += DISTANCE(node) + goes_right(node, value, m->sets, sets);
                moving |= DISTANCE(node);
            }
        } while (moving);
        for (size_t lane = 0; lane < LANES; lane++) {
            uint32_t leaf = float_bits(tree[at[lane]].threshold) & PAYLOAD;
            add_leaf(scores + (r + lane) * m->outputs, leaves + leaf * m->width, m->width, m->flags);
        }
    }
    for (; r < rows; r++) {
        Node node = tree[0];
        uint32_t at = 0;
        while (DISTANCE(node)) {
            at += DISTANCE(node) + goes_right(node, x[r * width + FEATURE(node)], m->sets, sets);
            node = tree[at];
        }
        add_leaf(scores + r * m->outputs, leaves + (float_bits(node.threshold) & PAYLOAD) * m->width, m->width, m->flags);
    }
}

/* Where tree `t` adds its leaf: over all outputs, or on its own one in turn. */
ALWAYS_INLINE size_t output_of(const Model *m, size_t t)
{
    return m->width == m->outputs ? 0 : t % m->outputs;
}

/* All trees over one row. */
ALWAYS_INLINE void walk_one(const Model *m, const float *x, double *scores, size_t from, int sets)
{
    size_t t = from;
    for (; t + LANES <= m->n_trees; t += LANES) {
        uint32_t at[LANES], moving;
        memcpy(at, m->roots + t, sizeof at);
        do {
            moving = 0;
            for (size_t lane = 0; lane < LANES; lane++) {
                Node node = m->nodes[at[lane]];
                at[lane] += DISTANCE(node) + goes_right(node, x[FEATURE(node)], m->sets, sets);
                moving |= DISTANCE(node);
            }
        } while (moving);
        for (size_t lane = 0; lane < LANES; lane++) {
            size_t leaf = (size_t)m->bases[t + lane] + (float_bits(m->nodes[at[lane]].threshold) & PAYLOAD);
            add_leaf(scores + output_of(m, t + lane), m->leaves + leaf * m->width, m->width, m->flags);
        }
    }
    for (; t < m->n_trees; t++) {
        uint32_t at = m->roots[t];
        Node node = m->nodes[at];
        while (DISTANCE(node)) {
            at += DISTANCE(node) + goes_right(node, x[FEATURE(node)], m->sets, sets);
            node = m->nodes[at];
        }
        size_t leaf = (size_t)m->bases[t] + (float_bits(node.threshold) & PAYLOAD);
        add_leaf(scores + output_of(m, t), m->leaves + leaf * m->width, m->width, m->flags);
    }
}

#ifdef HAS_AVX2
/* The same walk, eight lanes to a register and six registers at once (measured best: two to eight), then two for what
 * is left. Comparisons alone are done in parallel; leaves are added one by one, in order, so the sums are those of the
 * scalar walk. `streams`, how many registers, is a constant where these are inlined. */
enum { WIDE = 8, STREAMS = 6, FEW_STREAMS = 2 };

AVX2_INLINE __m256i step_avx2(__m256i at, __m256i route, __m256 threshold, __m256 value)
{
    __m256i right = _mm256_castps_si256(_mm256_cmp_ps(value, threshold, _CMP_GT_OQ));
    __m256i missing = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
    right = _mm256_or_si256(right, _mm256_and_si256(missing, _mm256_srai_epi32(route, 31)));
    return _mm256_sub_epi32(_mm256_add_epi32(at, _mm256_and_si256(route, _mm256_set1_epi32(0xfffff))), right);
}

/* Moves registers of lanes from `at` to their leaves. `x` + `offset` is each lane's row. */
AVX2_INLINE void descend_avx2(const Node *nodes, const float *x, const __m256i *offset, __m256i *at, size_t streams)
{
    const __m256i feature = _mm256_set1_epi32(0x7ff), distance = _mm256_set1_epi32(0xfffff);
    __m256i moving;
    do {
        moving = _mm256_setzero_si256();
#pragma GCC unroll 8
        for (size_t s = 0; s < streams; s++) {
            __m256 threshold = _mm256_i32gather_ps((const float *)nodes, at[s], 8);
            __m256i route = _mm256_i32gather_epi32((const int *)nodes + 1, at[s], 8);
            __m256i column = _mm256_and_si256(_mm256_srli_epi32(route, 20), feature);
            __m256 value = _mm256_i32gather_ps(x, _mm256_add_epi32(offset[s], column), 4);
            moving = _mm256_or_si256(moving, _mm256_and_si256(route, distance));
            at[s] = step_avx2(at[s], route, threshold, value);
        }
    } while (!_mm256_testz_si256(moving, moving));
}

AVX2_INLINE void leaves_avx2(const Node *nodes, __m256i at, uint32_t *leaf)
{
    __m256i bits = _mm256_i32gather_epi32((const int *)nodes, at, 8);
    _mm256_storeu_si256((__m256i *)leaf, _mm256_and_si256(bits, _mm256_set1_epi32(PAYLOAD)));
}

/* One tree over a block of rows. */
AVX2_INLINE void walk_block_avx2(const Model *m, const Node *tree, const double *leaves, const float *x,
                                 const __m256i *offset, double *scores, size_t streams)
{
    __m256i at[STREAMS];
    for (size_t s = 0; s < streams; s++)
        at[s] = _mm256_setzero_si256();
    descend_avx2(tree, x, offset, at, streams);
    for (size_t s = 0; s < streams; s++) {
        uint32_t leaf[WIDE];
        leaves_avx2(tree, at[s], leaf);
        for (size_t l = 0; l < WIDE; l++)
            add_leaf(scores + (s * WIDE + l) * m->outputs, leaves + leaf[l] * m->width, m->width, m->flags);
    }
}

/* Returns how many rows were done; the scalar walk takes the rest. */
__attribute__((target("avx2"))) static size_t walk_rows_avx2(
    const Model *m, const Node *tree, const double *leaves, const float *x, size_t rows, double *scores)
{
    size_t r = 0;
    __m256i offset[STREAMS], lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), width = _mm256_set1_epi32((int)m->n_features);
    for (int s = 0; s < STREAMS; s++)
        offset[s] = _mm256_mullo_epi32(_mm256_add_epi32(lane, _mm256_set1_epi32(s * WIDE)), width);
    for (; r + WIDE * STREAMS <= rows; r += WIDE * STREAMS)
        walk_block_avx2(m, tree, leaves, x + r * m->n_features, offset, scores + r * m->outputs, STREAMS);
    for (; r + WIDE * FEW_STREAMS <= rows; r += WIDE * FEW_STREAMS)
        walk_block_avx2(m, tree, leaves, x + r * m->n_features, offset, scores + r * m->outputs, FEW_STREAMS);
    return r;
}

/* A block of trees over one row. */
AVX2_INLINE void walk_trees_avx2(const Model *m, size_t first, const float *x, double *scores, size_t streams)
{
    __m256i at[STREAMS], offset[STREAMS];
    for (size_t s = 0; s < streams; s++) {
        at[s] = _mm256_loadu_si256((const __m256i *)(m->roots + first + s * WIDE));
        offset[s] = _mm256_setzero_si256();
    }
    descend_avx2(m->nodes, x, offset, at, streams);
    for (size_t s = 0; s < streams; s++) {
        uint32_t leaf[WIDE];
        leaves_avx2(m->nodes, at[s], leaf);
        for (size_t l = 0; l < WIDE; l++) {
            size_t tree = first + s * WIDE + l;
            add_leaf(scores + output_of(m, tree), m->leaves + ((size_t)m->bases[tree] + leaf[l]) * m->width, m->width, m->flags);
        }
    }
}

/* Returns how many trees were done. */
__attribute__((target("avx2"))) static size_t walk_one_avx2(const Model *m, const float *x, double *scores)
{
    size_t t = 0;
    for (; t + WIDE * STREAMS <= m->n_trees; t += WIDE * STREAMS)
        walk_trees_avx2(m, t, x, scores, STREAMS);
    for (; t + WIDE * FEW_STREAMS <= m->n_trees; t += WIDE * FEW_STREAMS)
        walk_trees_avx2(m, t, x, scores, FEW_STREAMS);
    return t;
}
#endif

/* Gathers take signed 32-bit indices. */
static int use_avx2(const Model *m)
{
    return !(m->flags & SCALAR_ONLY) && m->n_sets == 0 && m->n_nodes < INT32_MAX / 2 && has_avx2();
}

static void walk_single(const Model *m, const float *x, double *scores)
{
    size_t done = 0;
#ifdef HAS_AVX2
    if (use_avx2(m))
        done = walk_one_avx2(m, x, scores);
#endif
    if (m->n_sets)
        walk_one(m, x, scores, done, 1);
    else
        walk_one(m, x, scores, done, 0);
}

static void walk_many(const Model *m, const float *x, size_t rows, double *scores)
{
    for (size_t t = 0; t < m->n_trees; t++) {
        const Node *tree = m->nodes + m->roots[t];
        const double *leaves = m->leaves + (size_t)m->bases[t] * m->width;
        double *column = scores + output_of(m, t);
        size_t done = 0;
#ifdef HAS_AVX2
        if (use_avx2(m))
            done = walk_rows_avx2(m, tree, leaves, x, rows, column);
#endif
        const float *rest = x + done * m->n_features;
        if (m->n_sets)
            walk_rows(m, tree, leaves, rest, rows - done, column + done * m->outputs, 1);
        else
            walk_rows(m, tree, leaves, rest, rows - done, column + done * m->outputs, 0);
    }
}

static void walk(const Model *m, const float *x, size_t rows, double *scores)
{
    for (size_t r = 0; r < rows; r++)
        memcpy(scores + r * m->outputs, m->start, m->outputs * sizeof *scores);
    if (rows < LANES)
        for (size_t r = 0; r < rows; r++)
            walk_single(m, x + r * m->n_features, scores + r * m->outputs);
    else
        walk_many(m, x, rows, scores);
    if (m->flags & DIVIDE)
        for (size_t i = 0; i < rows * m->outputs; i++)
            scores[i] /= (double)m->n_trees;
}

/* A linear model over a sparse row: the products of its non-zero features, added from the left, as scipy does it. */
static void add_products(const Model *m, const double *x, size_t rows, double *scores)
{
    for (size_t r = 0; r < rows; r++, x += m->n_features)
        for (size_t k = 0; k < m->outputs; k++) {
            const double *row = m->coefficients + k * m->n_features;
            double sum = 0;
            for (size_t f = 0; f < m->n_features; f++)
                if (x[f] != 0)
                    sum += x[f] * row[f];
            scores[r * m->outputs + k] = sum + m->intercepts[k];
        }
}

/* ---- rows ----------------------------------------------------------------------------------------------------------- */

/* Rows as the caller gave them: numbers in a buffer that is borrowed, or cells in lists that were copied. */
typedef struct {
    Py_buffer view;
    const double *slots;
    double *copy;
    size_t count;
    int borrowed;
} Rows;

static void release_rows(Rows *rows)
{
    if (rows->borrowed)
        PyBuffer_Release(&rows->view);
    free(rows->copy);
}

static int is_double_format(const char *format)
{
    return format && (!strcmp(format, "d") || !strcmp(format, "@d") || !strcmp(format, "=d") || !strcmp(format, "<d"));
}

/* A tensor in the middle of a request's body lies anywhere. */
static int align_rows(Rows *rows)
{
    rows->copy = malloc((size_t)rows->view.len + 1);
    if (rows->copy == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(rows->copy, rows->view.buf, (size_t)rows->view.len);
    rows->slots = rows->copy;
    return 0;
}

static int borrow_rows(const Model *m, PyObject *object, Rows *rows)
{
    if (m->form != FORM_NUMBERS) {
        PyErr_SetString(PyExc_TypeError, "this model takes rows as lists of cells, not as a buffer of numbers");
        return -1;
    }
    if (PyObject_GetBuffer(object, &rows->view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) < 0)
        return -1;
    rows->borrowed = 1;
    if (rows->view.ndim != 2 || !is_double_format(rows->view.format) || (size_t)rows->view.shape[1] != m->columns) {
        PyErr_Format(PyExc_ValueError, "a buffer of rows has two dimensions, float64 cells and %zu columns", m->columns);
        return -1;
    }
    rows->count = (size_t)rows->view.shape[0];
    rows->slots = rows->view.buf;
    return (uintptr_t)rows->view.buf % sizeof(double) ? align_rows(rows) : 0;
}

static int is_missing(PyObject *cell)
{
    if (cell == Py_None)
        return 1;
    if (!PyFloat_Check(cell))
        return 0;
    double value = PyFloat_AsDouble(cell);
    return value != value;
}

/* A number as the estimator's conversion to float64 reads it. Text is never a number, even where it spells one. */
static int number_cell(PyObject *cell, double *value)
{
    if (cell == Py_None) {
        *value = NAN;
        return 0;
    }
    if (!PyFloat_Check(cell) && !PyIndex_Check(cell))
        return NOT_A_NUMBER;
    *value = PyFloat_AsDouble(cell);
    if (*value == -1.0 && PyErr_Occurred()) {
        int large = PyErr_ExceptionMatches(PyExc_OverflowError);
        PyErr_Clear();
        return large ? TOO_LARGE : NOT_A_NUMBER;
    }
    return 0;
}

static int coded_cell(const Model *m, const Slot *slot, PyObject *cell, double *value)
{
    if (is_missing(cell)) {
        *value = slot->missing;
        return slot->missing == REFUSE ? MISSING : 0;
    }
    PyObject *code = PyDict_GetItemWithError(PyTuple_GetItem(m->tables, slot->table), cell);
    if (code) {
        *value = PyFloat_AsDouble(code);
        return 0;
    }
    if (PyErr_Occurred()) { /* a list or a dict cannot be a category */
        PyErr_Clear();
        return NOT_A_NUMBER;
    }
    *value = slot->unknown;
    return slot->unknown == REFUSE ? UNKNOWN : 0;
}

static int encode_cell(const Model *m, const Slot *slot, PyObject *cell, double *value)
{
    if (slot->table >= 0)
        return coded_cell(m, slot, cell, value);
    if (slot->table == NUMBER)
        return number_cell(cell, value);
    *value = 0;
    return 0;
}

/* One row of cells to one row of slots. Returns 1 to stop. */
static int encode_row(const Model *m, PyObject *row, double *slots, Refusal *refusal, uint8_t *flags)
{
    int is_list = PyList_Check(row);
    if (!is_list && !PyTuple_Check(row))
        return refuse(refusal, flags, m->columns, WRONG_LENGTH);
    if ((size_t)(is_list ? PyList_Size(row) : PyTuple_Size(row)) != m->columns)
        return refuse(refusal, flags, m->columns, WRONG_LENGTH);
    for (size_t s = 0; s < m->n_slots; s++) {
        const Slot *slot = &m->slots[s];
        PyObject *cell = is_list ? PyList_GetItem(row, slot->column) : PyTuple_GetItem(row, slot->column);
        if (cell == NULL) { /* the list shrank under our hands */
            PyErr_Clear();
            return refuse(refusal, flags, m->columns, WRONG_LENGTH);
        }
        Py_INCREF(cell);
        int code = encode_cell(m, slot, cell, &slots[s]);
        Py_DECREF(cell);
        if (!code)
            continue;
        slots[s] = 0;
        if (refuse(refusal, flags, slot->column, code))
            return 1;
    }
    return 0;
}

static PyObject *row_at(PyObject *object, Py_ssize_t at)
{
    PyObject *row = PyList_Check(object) ? PyList_GetItem(object, at) : PyTuple_GetItem(object, at);
    Py_XINCREF(row);
    return row;
}

/* Opens rows of either form without reading a cell. */
static int open_rows(const Model *m, PyObject *object, Rows *rows)
{
    memset(rows, 0, sizeof *rows);
    int is_list = PyList_Check(object);
    if (!is_list && !PyTuple_Check(object))
        return borrow_rows(m, object, rows);
    rows->count = (size_t)(is_list ? PyList_Size(object) : PyTuple_Size(object));
    if (rows->count > PY_SSIZE_T_MAX / sizeof(double) / (m->n_slots + 1)) {
        PyErr_NoMemory();
        return -1;
    }
    rows->copy = malloc((rows->count * m->n_slots + 1) * sizeof(double));
    if (rows->copy == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    rows->slots = rows->copy;
    return 0;
}

/* Returns 0, 1 for a refusal, -1 with an exception set. */
static int encode_rows(const Model *m, PyObject *object, Rows *rows, Refusal *refusal)
{
    if (rows->borrowed)
        return 0;
    for (size_t r = 0; r < rows->count; r++) {
        PyObject *row = row_at(object, (Py_ssize_t)r);
        if (row == NULL)
            return -1;
        refusal->row = r;
        int stop = encode_row(m, row, rows->copy + r * m->n_slots, refusal, NULL);
        Py_DECREF(row);
        if (stop)
            return 1;
    }
    return 0;
}

/* ---- scores --------------------------------------------------------------------------------------------------------- */

/* Rows are walked in blocks whose features stay in the cache. */
enum { BLOCK_FLOATS = 1 << 15, SMALL = 512 };

static size_t block_rows(const Model *m)
{
    size_t rows = BLOCK_FLOATS / (m->n_features + 1);
    return rows < 64 ? 64 : rows > 1024 ? 1024 : rows;
}

/* How many numbers a row of the result has. */
static size_t stride_of(const Model *m)
{
    return m->n_trees || m->coefficients ? m->outputs : m->n_features;
}

static int score_block(const Model *m, const double *slots, size_t rows, void *scratch, double *out, Refusal *refusal)
{
    if (m->n_trees) {
        if (compute(m, slots, rows, NULL, scratch, refusal))
            return 1;
        walk(m, scratch, rows, out);
        return 0;
    }
    if (m->coefficients == NULL)
        return compute(m, slots, rows, out, NULL, refusal);
    if (compute(m, slots, rows, scratch, NULL, refusal))
        return 1;
    add_products(m, scratch, rows, out);
    return 0;
}

/* Fills `out` with the scores of all rows, or with their features where the model computes nothing else.
 * Runs without the GIL: touches no Python object. Returns 0, 1 for a refusal, -1 for want of memory. */
static int score_rows(const Model *m, const Rows *rows, double *out, Refusal *refusal)
{
    double small[SMALL];
    size_t step = block_rows(m), stride = stride_of(m);
    size_t need = (rows->count < step ? rows->count : step) * m->n_features;
    double *scratch = need <= SMALL ? small : malloc(need * sizeof *scratch);
    int status = scratch ? 0 : -1;
    for (size_t from = 0; from < rows->count && !status; from += step) {
        size_t count = rows->count - from < step ? rows->count - from : step;
        status = score_block(m, rows->slots + from * m->n_slots, count, scratch, out + from * stride, refusal);
        if (status)
            refusal->row += from;
    }
    if (scratch != small)
        free(scratch);
    return status;
}

/* Small requests keep the GIL: handing it over costs more than the walk. */
enum { WORTH_RELEASING = 20000 };

static int score_released(const Model *m, const Rows *rows, double *out, Refusal *refusal)
{
    int status;
    if (rows->count * (m->n_trees + m->n_features) < WORTH_RELEASING)
        return score_rows(m, rows, out, refusal);
    Py_BEGIN_ALLOW_THREADS
    status = score_rows(m, rows, out, refusal);
    Py_END_ALLOW_THREADS
    return status;
}

static int raise_refused(PyTypeObject *type, const Refusal *refusal)
{
    State *state = PyType_GetModuleState(type);
    PyObject *what = Py_BuildValue("(nni)", (Py_ssize_t)refusal->row, (Py_ssize_t)refusal->column, refusal->code);
    if (what) {
        PyErr_SetObject(state->refused, what);
        Py_DECREF(what);
    }
    return -1;
}

/* Rows to a new bytearray of float64 scores; `count` is set to the number of rows. */
static PyObject *new_scores(Model *m, PyObject *object, size_t *count)
{
    Rows rows;
    Refusal refusal = {0, 0, 0};
    PyObject *scores = NULL;
    int status = open_rows(m, object, &rows);
    if (!status)
        status = encode_rows(m, object, &rows, &refusal);
    if (!status) {
        *count = rows.count;
        scores = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)(rows.count * stride_of(m) * sizeof(double)));
        status = scores ? score_released(m, &rows, (double *)PyByteArray_AsString(scores), &refusal) : -1;
    }
    release_rows(&rows);
    if (status > 0)
        raise_refused(Py_TYPE((PyObject *)m), &refusal);
    else if (status < 0 && !PyErr_Occurred())
        PyErr_NoMemory();
    if (status)
        Py_CLEAR(scores);
    return scores;
}

/* ---- scores to predictions ------------------------------------------------------------------------------------------ */

/* The first of the largest, as numpy's argmax: the first NaN wins. */
static size_t argmax(const double *scores, size_t count)
{
    size_t best = 0;
    for (size_t k = 0; k < count; k++) {
        if (scores[k] != scores[k])
            return k;
        if (scores[k] > scores[best])
            best = k;
    }
    return best;
}

static PyObject *new_row(const double *values, size_t count)
{
    PyObject *row = PyList_New((Py_ssize_t)count);
    for (size_t k = 0; row && k < count; k++) {
        PyObject *value = PyFloat_FromDouble(values[k]);
        if (value == NULL || PyList_SetItem(row, (Py_ssize_t)k, value) < 0)
            Py_CLEAR(row);
    }
    return row;
}

/* How scores become predictions, by the number under which layout.FINISHES names it. */
static const struct {
    uint8_t link, end;
} FINISHES[] = {
    {LINK_NONE, END_VALUES},          {LINK_NONE, END_LABELS},         {LINK_NONE, END_LABELS_FROM_ZERO},
    {LINK_LOGISTIC, END_ROWS},        {LINK_NONE, END_ROWS},           {LINK_LOGISTIC, END_LABELS},
    {LINK_SOFTMAX, END_ROWS},         {LINK_SOFTMAX, END_LABELS},      {LINK_FLOAT_LOGISTIC, END_ROWS},
    {LINK_FLOAT_LOGISTIC, END_LABELS}, {LINK_FLOAT_SOFTMAX, END_ROWS}, {LINK_FLOAT_SOFTMAX, END_LABELS},
};

/* Probabilities of two classes, as scipy and LightGBM compute them. */
static void logistic(double score, double *pair)
{
    pair[1] = 1.0 / (1.0 + exp(-score));
    pair[0] = 1.0 - pair[1];
}

/* The same in float32, as XGBoost computes it. */
static void float_logistic(double score, double *pair)
{
    float x = (float)-score, second;
    x = x < 88.7f ? x : 88.7f;
    second = 1.0f / (expf(x) + 1.0f + 1e-16f);
    pair[1] = second;
    pair[0] = 1.0f - second;
}

/* LightGBM's softmax: the C library's exp, added from the left. scikit-learn's is numpy's and is not done here. */
static void softmax(const double *scores, size_t count, double *out)
{
    double most = scores[0], sum = 0;
    for (size_t k = 1; k < count; k++)
        most = scores[k] > most ? scores[k] : most;
    for (size_t k = 0; k < count; k++) {
        out[k] = exp(scores[k] - most);
        sum += out[k];
    }
    for (size_t k = 0; k < count; k++)
        out[k] /= sum;
}

/* XGBoost's softmax: float32, but for the sum. */
static void float_softmax(const double *scores, size_t count, double *out)
{
    float most = (float)scores[0];
    double sum = 0;
    for (size_t k = 1; k < count; k++)
        most = fmaxf((float)scores[k], most);
    for (size_t k = 0; k < count; k++) {
        out[k] = expf((float)scores[k] - most);
        sum += out[k];
    }
    for (size_t k = 0; k < count; k++)
        out[k] = (float)out[k] / (float)sum;
}

/* Scores through their link into `out`; returns how many values that makes. */
static size_t linked(const double *scores, size_t count, int link, double *out)
{
    switch (link) {
    case LINK_LOGISTIC: logistic(scores[0], out); return 2;
    case LINK_FLOAT_LOGISTIC: float_logistic(scores[0], out); return 2;
    case LINK_SOFTMAX: softmax(scores, count, out); return count;
    case LINK_FLOAT_SOFTMAX: float_softmax(scores, count, out); return count;
    default: memcpy(out, scores, count * sizeof *out); return count;
    }
}

static PyObject *new_prediction(const Model *m, const double *scores, int finish)
{
    double values[MOST_OUTPUTS];
    size_t count = linked(scores, m->outputs, FINISHES[finish].link, values), label;
    int end = FINISHES[finish].end;
    if (end == END_VALUES)
        return PyFloat_FromDouble(values[0]);
    if (end == END_ROWS)
        return new_row(values, count);
    if (count > 1)
        label = argmax(values, count);
    else
        label = end == END_LABELS_FROM_ZERO ? values[0] >= 0 : values[0] > 0;
    PyObject *chosen = PyTuple_GetItem(m->labels, (Py_ssize_t)label);
    Py_XINCREF(chosen);
    return chosen;
}

static PyObject *new_predictions(const Model *m, const double *scores, size_t count, int finish)
{
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t r = 0; list && r < count; r++) {
        PyObject *prediction = new_prediction(m, scores + r * m->outputs, finish);
        if (prediction == NULL || PyList_SetItem(list, (Py_ssize_t)r, prediction) < 0)
            Py_CLEAR(list);
    }
    return list;
}

static int check_finish(const Model *m, int finish)
{
    int fits = finish >= 0 && (size_t)finish < sizeof FINISHES / sizeof *FINISHES;
    if (fits) {
        int link = FINISHES[finish].link, end = FINISHES[finish].end;
        int single = link == LINK_LOGISTIC || link == LINK_FLOAT_LOGISTIC || end == END_VALUES;
        int chooses = end == END_LABELS || end == END_LABELS_FROM_ZERO;
        size_t labels = (size_t)PyTuple_Size(m->labels);
        fits = (!single || m->outputs == 1) && (!chooses || labels == (m->outputs == 1 ? 2 : m->outputs));
    }
    if (!fits)
        PyErr_SetString(PyExc_ValueError, "this model cannot finish its scores in that way");
    return fits ? 0 : -1;
}

/* ---- the Python type ------------------------------------------------------------------------------------------------ */

static PyObject *model_predict(PyObject *self, PyObject *args)
{
    Model *m = (Model *)self;
    PyObject *rows;
    int finish;
    size_t count;
    if (!PyArg_ParseTuple(args, "Oi", &rows, &finish) || check_finish(m, finish) < 0)
        return NULL;
    if (m->n_trees == 0 && m->coefficients == NULL) {
        PyErr_SetString(PyExc_ValueError, "this model computes features only");
        return NULL;
    }
    PyObject *scores = new_scores(m, rows, &count);
    if (scores == NULL)
        return NULL;
    PyObject *predictions = new_predictions(m, (const double *)PyByteArray_AsString(scores), count, finish);
    Py_DECREF(scores);
    return predictions;
}

static PyObject *model_scores(PyObject *self, PyObject *rows)
{
    size_t count;
    return new_scores((Model *)self, rows, &count);
}

/* The scores of all rows, each with its output's bias added as numpy adds it; NULL with an error set. */
static double *with_bias(const Model *m, const Py_buffer *scores, PyObject *bias)
{
    Py_buffer added;
    size_t count = (size_t)scores->len / sizeof(double);
    if (PyObject_GetBuffer(bias, &added, PyBUF_C_CONTIGUOUS) < 0)
        return NULL;
    double *sums = malloc((count + 1) * sizeof *sums);
    size_t n = (size_t)added.len / sizeof(double);
    if (sums == NULL)
        PyErr_NoMemory();
    else if ((n != 1 && n != m->outputs) || (uintptr_t)added.buf % sizeof(double)) {
        PyErr_SetString(PyExc_ValueError, "a bias is one float64, or one an output");
        free(sums);
        sums = NULL;
    } else {
        const double *from = scores->buf, *more = added.buf;
        for (size_t i = 0; i < count; i++)
            sums[i] = from[i] + more[n == 1 ? 0 : i % n];
    }
    PyBuffer_Release(&added);
    return sums;
}

static PyObject *model_finish(PyObject *self, PyObject *args)
{
    Model *m = (Model *)self;
    Py_buffer scores;
    PyObject *bias = NULL;
    int finish;
    if (!PyArg_ParseTuple(args, "y*i|O", &scores, &finish, &bias))
        return NULL;
    PyObject *predictions = NULL;
    size_t row = m->outputs * sizeof(double);
    if ((size_t)scores.len % row || (uintptr_t)scores.buf % sizeof(double))
        PyErr_SetString(PyExc_ValueError, "scores come as whole rows of float64");
    else if (check_finish(m, finish) == 0) {
        double *sums = bias ? with_bias(m, &scores, bias) : scores.buf;
        if (sums)
            predictions = new_predictions(m, sums, (size_t)scores.len / row, finish);
        if (bias)
            free(sums);
    }
    PyBuffer_Release(&scores);
    return predictions;
}

/* Every refused cell of one row, as (row, column, code), appended to `found`. */
static int append_refusals(const Model *m, PyObject *found, Py_ssize_t row, const uint8_t *flags)
{
    for (size_t c = 0; c <= m->columns; c++) {
        if (!flags[c])
            continue;
        PyObject *what = Py_BuildValue("(nni)", row, (Py_ssize_t)c, (int)flags[c]);
        int failed = what == NULL || PyList_Append(found, what) < 0;
        Py_XDECREF(what);
        if (failed)
            return -1;
    }
    return 0;
}

static int find_in_row(const Model *m, PyObject *object, Rows *rows, size_t r, double *wide, uint8_t *flags)
{
    Refusal unused;
    memset(flags, 0, m->columns + 1);
    if (!rows->borrowed) {
        PyObject *row = row_at(object, (Py_ssize_t)r);
        if (row == NULL)
            return -1;
        encode_row(m, row, rows->copy + r * m->n_slots, &unused, flags);
        Py_DECREF(row);
        if (flags[m->columns])
            return 0;
    }
    compute_row(m, rows->slots + r * m->n_slots, m->n_trees ? NULL : wide, m->n_trees ? (float *)wide : NULL, &unused, flags);
    return 0;
}

static PyObject *model_refusals(PyObject *self, PyObject *object)
{
    Model *m = (Model *)self;
    Rows rows;
    PyObject *found = PyList_New(0);
    double *wide = malloc((m->n_features + 1) * sizeof *wide);
    uint8_t *flags = malloc(m->columns + 1);
    int status = found && wide && flags ? open_rows(m, object, &rows) : -2;
    for (size_t r = 0; status == 0 && r < rows.count; r++) {
        status = find_in_row(m, object, &rows, r, wide, flags);
        if (status == 0)
            status = append_refusals(m, found, (Py_ssize_t)r, flags);
    }
    if (status != -2)
        release_rows(&rows);
    free(wide);
    free(flags);
    if (status) {
        Py_CLEAR(found);
        if (!PyErr_Occurred())
            PyErr_NoMemory();
    }
    return found;
}

static int hold_buffers(Model *m, PyObject *arrays)
{
    static const size_t item[BUFFERS] = {
        sizeof(Slot), sizeof(Op), 8, sizeof(Feature), 8, sizeof(Node), 4, 4, 8, 4 * SET_WORDS, 8, 8, 8,
    };
    if (PyTuple_Size(arrays) != BUFFERS) {
        PyErr_SetString(PyExc_ValueError, "a model has another number of arrays");
        return -1;
    }
    for (; m->held < BUFFERS; m->held++) {
        Py_buffer *buffer = &m->buffers[m->held];
        if (PyObject_GetBuffer(PyTuple_GetItem(arrays, m->held), buffer, PyBUF_C_CONTIGUOUS) < 0)
            return -1;
        if ((size_t)buffer->len % item[m->held] || (buffer->len && (uintptr_t)buffer->buf % 8)) {
            PyErr_SetString(PyExc_ValueError, "an array of broken length or alignment");
            m->held++;
            return -1;
        }
    }
    return 0;
}

static const char *bind_arrays(Model *m)
{
#define BIND(field, which, count, size) \
    m->field = m->buffers[which].buf; \
    m->count = (size_t)m->buffers[which].len / (size)
    size_t n_bases, n_start, n_coefficients, n_intercepts, leaf_values;
    BIND(slots, SLOTS, n_slots, sizeof(Slot));
    BIND(ops, OPS, n_ops, sizeof(Op));
    BIND(known, KNOWN, n_known, 8);
    BIND(features, FEATURES, n_features, sizeof(Feature));
    BIND(cuts, CUTS, n_cuts, 8);
    BIND(nodes, NODES, n_nodes, sizeof(Node));
    BIND(roots, ROOTS, n_trees, 4);
    BIND(sets, SETS, n_sets, 4 * SET_WORDS);
#undef BIND
    m->bases = m->buffers[BASES].buf;
    m->leaves = m->buffers[LEAVES].buf;
    m->start = m->buffers[START].buf;
    m->intercepts = m->buffers[INTERCEPTS].buf;
    n_bases = (size_t)m->buffers[BASES].len / 4;
    leaf_values = (size_t)m->buffers[LEAVES].len / 8;
    n_start = (size_t)m->buffers[START].len / 8;
    n_coefficients = (size_t)m->buffers[COEFFICIENTS].len / 8;
    n_intercepts = (size_t)m->buffers[INTERCEPTS].len / 8;
    m->coefficients = n_coefficients ? m->buffers[COEFFICIENTS].buf : NULL;
    m->n_leaves = m->width ? leaf_values / m->width : 0;
    if (m->n_features == 0 || m->columns == 0 || m->n_slots == 0 || m->outputs == 0)
        return "a model without columns, features or outputs";
    if (m->columns > MOST_COLUMNS || m->outputs > MOST_OUTPUTS)
        return "a model with more columns or outputs than any has";
    if (m->n_trees && (n_bases != m->n_trees || n_start != m->outputs))
        return "a tree without its base, or an output without its start";
    if (m->n_trees && m->coefficients)
        return "trees and coefficients in one model";
    if (m->coefficients && (n_coefficients != m->outputs * m->n_features || n_intercepts != m->outputs))
        return "a coefficient or an intercept too many or too few";
    return NULL;
}

static int check_tuples(const Model *m)
{
    if (!PyTuple_Check(m->tables) || !PyTuple_Check(m->labels))
        return 0;
    for (Py_ssize_t i = 0; i < PyTuple_Size(m->tables); i++)
        if (!PyDict_Check(PyTuple_GetItem(m->tables, i)))
            return 0;
    return 1;
}

static PyObject *model_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"arrays", "tables", "labels", "columns", "outputs", "width", "form", "flags", NULL};
    PyObject *arrays, *tables, *labels;
    Py_ssize_t columns, outputs, width;
    int form, flags;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!OOnnnii", names, &PyTuple_Type, &arrays, &tables, &labels,
                                     &columns, &outputs, &width, &form, &flags))
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Model *m = (Model *)allocate(type, 0);
    if (m == NULL)
        return NULL;
    m->tables = Py_NewRef(tables);
    m->labels = Py_NewRef(labels);
    m->columns = columns < 0 ? 0 : (size_t)columns;
    m->outputs = outputs < 0 ? 0 : (size_t)outputs;
    m->width = width < 0 ? 0 : (size_t)width;
    m->form = form;
    m->flags = flags;
    const char *problem = NULL;
    if (!check_tuples(m) || (form != FORM_NUMBERS && form != FORM_CELLS))
        problem = "vocabularies, labels or the form of the rows are not what they should be";
    else if (hold_buffers(m, arrays) == 0) {
        problem = bind_arrays(m);
        if (!problem)
            problem = check_model(m);
    }
    if (problem)
        PyErr_SetString(PyExc_ValueError, problem);
    if (PyErr_Occurred()) {
        Py_DECREF(m);
        return NULL;
    }
    return (PyObject *)m;
}

static void model_dealloc(PyObject *self)
{
    Model *m = (Model *)self;
    PyTypeObject *type = Py_TYPE(self);
    for (int i = 0; i < m->held; i++)
        PyBuffer_Release(&m->buffers[i]);
    Py_CLEAR(m->tables);
    Py_CLEAR(m->labels);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyMethodDef model_methods[] = {
    {"predict", model_predict, METH_VARARGS, "predict(rows, finish) -> list of predictions"},
    {"scores", model_scores, METH_O, "scores(rows) -> bytearray of float64, row by row"},
    {"finish", model_finish, METH_VARARGS, "finish(scores, finish, bias=None) -> list of predictions"},
    {"refusals", model_refusals, METH_O, "refusals(rows) -> [(row, column, code), ...]"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot model_slots[] = {
    {Py_tp_new, model_new},
    {Py_tp_dealloc, model_dealloc},
    {Py_tp_methods, model_methods},
    {Py_tp_doc, "A sealed model over arrays that were checked; immutable, safe to share between threads."},
    {0, NULL},
};

static PyType_Spec model_spec = {
    .name = "mlinfra.modelkit.sealing._walk.Model",
    .basicsize = sizeof(Model),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = model_slots,
};

/* ---- rows against a schema ------------------------------------------------------------------------------------------ */

/* What each column takes. It only ever says that a row is surely right; every other row is for the exact check, in
 * Python, which has the words for what is wrong. No cell can run code here: all types are compared exactly. */
typedef struct {
    PyObject_HEAD
    size_t columns;
    int is_numeric, has_integers; /* every column holds numbers; some hold whole ones */
    int is_wide;                  /* the processor has AVX2, and it may be used */
    uint8_t *kinds;
    double *lows, *highs;
    double *least, *most; /* the same as bounds of a table's cells: never 2^53 or beyond, where the exact check decides */
    PyObject *names, *values; /* tuples: the columns' names; a frozenset of text for a category, else None */
} Screen;

enum { CELL_NUMBER, CELL_INTEGER, CELL_STRING, CELL_BOOLEAN, CELL_CATEGORY, CELL_KINDS, CELL_NULLABLE = 0x80 };

#define EXACT 9007199254740992 /* 2^53, beyond which a float64 skips whole numbers */

static int is_within(const Screen *s, size_t c, PyObject *cell)
{
    int overflow = 0;
    if (Py_TYPE(cell) == &PyFloat_Type) {
        double value = PyFloat_AsDouble(cell);
        return (s->kinds[c] & ~CELL_NULLABLE) == CELL_NUMBER && value >= s->lows[c] && value <= s->highs[c];
    }
    if (Py_TYPE(cell) != &PyLong_Type)
        return 0;
    long long value = PyLong_AsLongLongAndOverflow(cell, &overflow);
    if (overflow || value > EXACT || value < -EXACT)
        return 0;
    return (double)value >= s->lows[c] && (double)value <= s->highs[c];
}

/* 1 where the cell is surely right, else 0; -1 with an error set. */
static int is_clean(const Screen *s, size_t c, PyObject *cell)
{
    if (cell == Py_None)
        return (s->kinds[c] & CELL_NULLABLE) != 0;
    switch (s->kinds[c] & ~CELL_NULLABLE) {
    case CELL_STRING: return Py_TYPE(cell) == &PyUnicode_Type;
    case CELL_BOOLEAN: return Py_TYPE(cell) == &PyBool_Type;
    case CELL_CATEGORY:
        if (Py_TYPE(cell) != &PyUnicode_Type)
            return 0;
        return PySet_Contains(PyTuple_GetItem(s->values, (Py_ssize_t)c), cell);
    default: return is_within(s, c, cell);
    }
}

/* A row in the schema's order, as a new reference; NULL where it is not surely right, or with an error set. */
static PyObject *screen_row(const Screen *s, PyObject *row)
{
    int by_name = PyDict_CheckExact(row);
    if (!by_name && !PyList_CheckExact(row))
        return NULL;
    if ((size_t)(by_name ? PyDict_Size(row) : PyList_Size(row)) != s->columns)
        return NULL;
    PyObject *ordered = by_name ? PyList_New((Py_ssize_t)s->columns) : Py_NewRef(row);
    for (size_t c = 0; ordered && c < s->columns; c++) {
        PyObject *cell = by_name ? PyDict_GetItemWithError(row, PyTuple_GetItem(s->names, (Py_ssize_t)c))
                                 : PyList_GetItem(row, (Py_ssize_t)c);
        if (cell == NULL || is_clean(s, c, cell) != 1)
            Py_CLEAR(ordered);
        else if (by_name)
            PyList_SetItem(ordered, (Py_ssize_t)c, Py_NewRef(cell));
    }
    return ordered;
}

static PyObject *screen_order(PyObject *self, PyObject *rows)
{
    const Screen *s = (const Screen *)self;
    if (!PyList_CheckExact(rows))
        Py_RETURN_NONE;
    Py_ssize_t count = PyList_Size(rows);
    PyObject *ordered = PyList_New(count);
    for (Py_ssize_t r = 0; ordered && r < count; r++) {
        PyObject *row = screen_row(s, PyList_GetItem(rows, r));
        if (row)
            PyList_SetItem(ordered, r, row);
        else
            Py_CLEAR(ordered);
    }
    if (ordered == NULL && !PyErr_Occurred())
        Py_RETURN_NONE;
    return ordered;
}

/* ---- JSON straight to float64 --------------------------------------------------------------------------------------- */

/* The body of a request for a table of numbers, `{"instances": [[1.5, ...], ...]}`, to float64 without an object for
 * each number. Whatever is not surely that is left to the exact reader, so nothing is refused here. The text is that of
 * a bytes object: a zero follows its end, which is neither a digit nor a bracket. */
typedef struct {
    const char *at, *start, *end;
} Text;

enum { MOST_DIGITS = 19, MOST_DECIMALS = 27, LONGEST = 400 }; /* 10^19 - 1 < 2^64, 5^27 < 2^63 */

static const uint64_t FIVES[MOST_DECIMALS + 1] = {
    1u, 5u, 25u, 125u, 625u,
    3125u, 15625u, 78125u, 390625u, 1953125u,
    9765625u, 48828125u, 244140625u, 1220703125u, 6103515625u,
    30517578125u, 152587890625u, 762939453125u, 3814697265625u, 19073486328125u,
    95367431640625u, 476837158203125u, 2384185791015625u, 11920928955078125u, 59604644775390625u,
    298023223876953125u, 1490116119384765625u, 7450580596923828125u,
};
static const uint64_t TENS[9] = {1u, 10u, 100u, 1000u, 10000u, 100000u, 1000000u, 10000000u, 100000000u};

/* For k from 1 on: 2^(63 + the length of 5^k in bits) / 5^k, rounded down, and what its product adds to the exponent. */
#define LENGTH(five) (64 - __builtin_clzll(five))
#define RECIPROCAL(five) ((uint64_t)(((unsigned __int128)1 << (63 + LENGTH(five))) / (five)))
static const uint64_t RECIPROCALS[MOST_DECIMALS + 1] = {
    0,
    RECIPROCAL(5u), RECIPROCAL(25u), RECIPROCAL(125u),
    RECIPROCAL(625u), RECIPROCAL(3125u), RECIPROCAL(15625u),
    RECIPROCAL(78125u), RECIPROCAL(390625u), RECIPROCAL(1953125u),
    RECIPROCAL(9765625u), RECIPROCAL(48828125u), RECIPROCAL(244140625u),
    RECIPROCAL(1220703125u), RECIPROCAL(6103515625u), RECIPROCAL(30517578125u),
    RECIPROCAL(152587890625u), RECIPROCAL(762939453125u), RECIPROCAL(3814697265625u),
    RECIPROCAL(19073486328125u), RECIPROCAL(95367431640625u), RECIPROCAL(476837158203125u),
    RECIPROCAL(2384185791015625u), RECIPROCAL(11920928955078125u), RECIPROCAL(59604644775390625u),
    RECIPROCAL(298023223876953125u), RECIPROCAL(1490116119384765625u), RECIPROCAL(7450580596923828125u),
};
static const int16_t SHIFTS[MOST_DECIMALS + 1] = {
    1074, 1071, 1068, 1065, 1061, 1058, 1055, 1051, 1048, 1045, 1041, 1038, 1035, 1031, 1028, 1025, 1021, 1018,
    1015, 1011, 1008, 1005, 1001, 998, 995, 991, 988, 985,
};

/* w / 10^k rounded to the nearest float64, ties to even: exact integers, and the remainder says what is beyond them. */
static double quotient(uint64_t w, int k)
{
    uint64_t divisor = FIVES[k];
    int up = __builtin_clzll(w), down = __builtin_clzll(divisor);
    unsigned __int128 dividend = (unsigned __int128)(w << up) << 63;
    divisor <<= down;
    uint64_t q, rest;
#if defined(__x86_64__)
    __asm__("divq %4" /* the upper half is below the divisor, so it cannot trap */
            : "=a"(q), "=d"(rest)
            : "a"((uint64_t)dividend), "d"((uint64_t)(dividend >> 64)), "r"(divisor)
            : "cc");
#else
    q = (uint64_t)(dividend / divisor);
    rest = (uint64_t)(dividend % divisor);
#endif
    int extra = 11 - __builtin_clzll(q); /* bits beyond the 53 that a float64 keeps */
    uint64_t kept = q >> extra, cut = q & ((1ull << extra) - 1), half = 1ull << (extra - 1);
    kept += (cut > half) | ((cut == half) & ((rest != 0) | (kept & 1))); /* no branch: it would be a guess */
    /* kept is 2^52 to 2^53, whose last one carries into the exponent; nothing here is near the end of the range */
    uint64_t bits = ((uint64_t)(down - up - 63 - k + extra + 1074) << 52) + kept;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The same and quicker, for k from 1 on. The product with a reciprocal that was rounded down has the true one's upper
 * half, or one less than that, which matters only where the bits to be cut off are half of the last one that is kept. */
ALWAYS_INLINE double quick_quotient(uint64_t w, int k)
{
    int up = __builtin_clzll(w);
    uint64_t q = (uint64_t)((unsigned __int128)(w << up) * RECIPROCALS[k] >> 64); /* 2^62 or more */
    int extra = 10 + (int)(q >> 63);
    uint64_t half = 1ull << (extra - 1), cut = q & (2 * half - 1);
    if (cut - half + 1 <= 1)
        return quotient(w, k);
    uint64_t kept = ((q >> (extra - 1)) + 1) >> 1; /* no tie is left, so rounding half up is rounding to the nearest */
    uint64_t bits = ((uint64_t)(SHIFTS[k] - up + extra) << 52) + kept;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static int is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
/* Eight digits, the first one in the lowest byte. */
ALWAYS_INLINE uint64_t eight_digits(uint64_t text)
{
    text = (text & 0x0f0f0f0f0f0f0f0fu) * 2561 >> 8;
    text = (text & 0x00ff00ff00ff00ffu) * 6553601 >> 16;
    return (text & 0x0000ffff0000ffffu) * 42949672960001u >> 32;
}

/* Digits into a number, which wraps around beyond 19 of them. Eight at a time, and the rest without a branch that the
 * processor could guess wrong: their number is as random as the numbers themselves. */
ALWAYS_INLINE const char *read_digits(const char *p, const char *end, uint64_t *number)
{
    while (end - p >= 8) {
        uint64_t text, odd;
        memcpy(&text, p, 8);
        odd = ((text + 0x4646464646464646u) | (text - 0x3030303030303030u)) & 0x8080808080808080u;
        if (odd) {
            int count = __builtin_ctzll(odd) / 8; /* the lowest byte that is no digit is marked for certain */
            text = text << 8 << (56 - 8 * count);
            *number = *number * TENS[count] + eight_digits(text);
            return p + count;
        }
        *number = *number * TENS[8] + eight_digits(text);
        p += 8;
    }
    for (; is_digit(*p); p++)
        *number = *number * 10 + (uint64_t)(*p - '0');
    return p;
}
#else
static const char *read_digits(const char *p, const char *end, uint64_t *number)
{
    (void)end;
    for (; is_digit(*p); p++)
        *number = *number * 10 + (uint64_t)(*p - '0');
    return p;
}
#endif

/* An exponent after its letter; NULL where there are no digits, or too many. */
static const char *read_exponent(const char *p, int *exponent)
{
    int negative = *p == '-', value = 0;
    p += *p == '-' || *p == '+';
    const char *first = p;
    for (; is_digit(*p); p++)
        value = value < 10000 ? value * 10 + (*p - '0') : value;
    *exponent = negative ? -value : value;
    return p > first ? p : NULL;
}

/* How many digits count: all but the zeros before the first other one. */
static Py_ssize_t significant(const char *first, const char *end)
{
    Py_ssize_t digits = 0;
    for (; first < end && (is_digit(*first) || *first == '.'); first++)
        digits += *first != '.' && (digits || *first != '0');
    return digits;
}

/* A number by JSON's grammar, rounded as Python rounds it. 0 where there is none, or with an error set. */
ALWAYS_INLINE int read_number(Text *text, double *value)
{
    const char *p = text->at;
    int negative = *p == '-', decimals = 0, is_whole = 1;
    uint64_t w = 0;
    p += negative;
    const char *first = p;
    if (is_digit(p[0]) && !is_digit(p[1])) /* most often; the processor can guess it, and go on with what comes next */
        w = (uint64_t)(*p++ - '0');
    else
        p = read_digits(p, text->end, &w);
    if (p == first || (*first == '0' && p - first > 1))
        return 0;
    if (*p == '.') {
        const char *fraction = ++p;
        p = read_digits(p, text->end, &w);
        if (p == fraction || p - fraction > LONGEST)
            return 0;
        decimals = (int)(p - fraction);
        is_whole = 0;
    }
    const char *last = p;
    int fits = last - first - !is_whole - (*first == '0') <= MOST_DIGITS || significant(first, last) <= MOST_DIGITS;
    if (*p == 'e' || *p == 'E') {
        int exponent;
        p = read_exponent(p + 1, &exponent);
        if (p == NULL)
            return 0;
        decimals -= exponent;
        is_whole = 0;
    }
    double found;
    if (fits && w == 0)
        found = 0;
    else if (fits && decimals > 0 && decimals <= MOST_DECIMALS)
        found = quick_quotient(w, decimals);
    else if (fits && decimals == 0)
        found = (double)w;
    else if (p - text->at > LONGEST)
        return 0;
    else {
        char *stop;
        found = fabs(PyOS_string_to_double(text->at, &stop, NULL));
        if (PyErr_Occurred() || stop != p)
            return 0;
    }
    uint64_t bits, sign = (uint64_t)(negative & !(is_whole & (w == 0))) << 63; /* an integer has no -0 */
    memcpy(&bits, &found, sizeof bits);
    bits |= sign;
    memcpy(value, &bits, sizeof bits);
    text->at = p;
    return 1;
}

ALWAYS_INLINE void skip_blanks(Text *text)
{
    const char *p = text->at;
    while ((unsigned char)*p <= ' ' && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    text->at = p;
}

/* The next character but for blanks, taken where it is the one expected. */
ALWAYS_INLINE int take(Text *text, char expected)
{
    skip_blanks(text);
    if (*text->at != expected)
        return 0;
    text->at++;
    return 1;
}

ALWAYS_INLINE int is_allowed(const Screen *s, size_t c, double value)
{
    int is_integer = s->has_integers && (s->kinds[c] & ~CELL_NULLABLE) == CELL_INTEGER;
    return value >= s->least[c] && value <= s->most[c] && (!is_integer || value == rint(value));
}

ALWAYS_INLINE int read_cell(const Screen *s, size_t c, Text *text, double *value)
{
    skip_blanks(text);
    if (*text->at == 'n' && text->end - text->at >= 4 && memcmp(text->at, "null", 4) == 0) {
        text->at += 4;
        *value = NAN;
        return (s->kinds[c] & CELL_NULLABLE) != 0;
    }
    if (!read_number(text, value))
        return 0;
    return is_allowed(s, c, *value);
}

static int read_row(const Screen *s, Text *text, double *row)
{
    if (!take(text, '['))
        return 0;
    for (size_t c = 0; c < s->columns; c++)
        if (!read_cell(s, c, text, row + c) || !take(text, c + 1 < s->columns ? ',' : ']'))
            return 0;
    return 1;
}

#ifdef HAS_AVX2
enum { REACH = 34 }; /* bytes on either side of a cell's begin that may be looked at */

/* A sign, digits, a point and digits, up to 19 of them that count: where they end, or NULL. All of them are turned into a
 * number at once, and nothing but their end is waited for before the next cell is begun. */
AVX2_INLINE const char *read_decimal_avx2(const char *p, double *value)
{
    const __m256i zero = _mm256_set1_epi8('0'), nine = _mm256_set1_epi8(9);
    const __m256i to_end = _mm256_setr_epi8(32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13,
                                            12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1);
    __m256i digits = _mm256_sub_epi8(_mm256_loadu_si256((const __m256i *)p), zero);
    uint32_t others = ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_min_epu8(digits, nine), digits));
    int sign = others & 1;
    others ^= (uint32_t)sign;
    uint32_t after = others & (others - 1);
    if (after == 0)
        return NULL;
    int point = __builtin_ctz(others), end = __builtin_ctz(after), whole = point - sign, decimals = end - point - 1;
    int starts_zero = p[sign] == '0';
    if (p[point] != '.' || decimals == 0 || (sign & (*p != '-')) || whole + decimals - starts_zero > MOST_DIGITS)
        return NULL;
    if (whole != 1 && (whole == 0 || starts_zero))
        return NULL;
    /* the last 32 characters, those before the point one place to the right, those before the number as zeros */
    const char *last = p + end - 32;
    __m256i straight = _mm256_loadu_si256((const __m256i *)last), moved = _mm256_loadu_si256((const __m256i *)(last - 1));
    __m256i is_before_point = _mm256_cmpgt_epi8(to_end, _mm256_set1_epi8((char)decimals));
    __m256i is_outside = _mm256_cmpgt_epi8(to_end, _mm256_set1_epi8((char)(whole + decimals)));
    digits = _mm256_sub_epi8(_mm256_blendv_epi8(straight, moved, is_before_point), zero);
    digits = _mm256_andnot_si256(is_outside, digits);
    digits = _mm256_maddubs_epi16(digits, _mm256_set1_epi16(1 << 8 | 10));                                 /* pairs */
    digits = _mm256_madd_epi16(digits, _mm256_set1_epi32(1 << 16 | 100));                                  /* fours */
    digits = _mm256_madd_epi16(_mm256_packus_epi32(digits, digits), _mm256_set1_epi32(1 << 16 | 10000)); /* eights */
    uint64_t upper = (uint64_t)_mm256_extract_epi64(digits, 0), lower = (uint64_t)_mm256_extract_epi64(digits, 2);
    uint64_t w = ((upper >> 32) * TENS[8] + (uint32_t)lower) * TENS[8] + (lower >> 32);
    if (w == 0)
        return NULL;
    double found = quick_quotient(w, decimals);
    uint64_t bits;
    memcpy(&bits, &found, sizeof bits);
    bits |= (uint64_t)sign << 63;
    memcpy(value, &bits, sizeof bits);
    return p + end;
}

AVX2_INLINE int read_cell_avx2(const Screen *s, size_t c, Text *text, char expected, double *value)
{
    while (*text->at == ' ') /* a guess of the processor's, which is quicker than to count with what was read */
        text->at++;
    if (text->end - text->at > REACH) {
        const char *end = read_decimal_avx2(text->at, value);
        if (end && *end == expected) {
            text->at = end + 1;
            return is_allowed(s, c, *value);
        }
    }
    return read_cell(s, c, text, value) && take(text, expected);
}

__attribute__((target("avx2,bmi,bmi2"))) static int read_row_avx2(const Screen *s, Text *text, double *row)
{
    if (text->at - text->start < REACH)
        return read_row(s, text, row);
    if (!take(text, '['))
        return 0;
    size_t c = 0;
    for (; c + 1 < s->columns; c++)
        if (!read_cell_avx2(s, c, text, ',', row + c))
            return 0;
    return read_cell_avx2(s, c, text, ']', row + c);
}
#else
#define read_row_avx2 read_row
#endif

/* Rows until the closing bracket, appended to a bytearray; how many, or 0. */
static Py_ssize_t read_rows(const Screen *s, Text *text, PyObject *table)
{
    Py_ssize_t size = (Py_ssize_t)(s->columns * sizeof(double)), room = PyByteArray_Size(table) / size, count = 0;
    int (*next_row)(const Screen *, Text *, double *) = s->is_wide ? read_row_avx2 : read_row;
    do {
        if (count == room) {
            room *= 2;
            if (PyByteArray_Resize(table, room * size) < 0)
                return 0;
        }
        if (!next_row(s, text, (double *)(PyByteArray_AsString(table) + count * size)))
            return 0;
        count++;
    } while (take(text, ','));
    return take(text, ']') && PyByteArray_Resize(table, count * size) == 0 ? count : 0;
}

static PyObject *screen_table(PyObject *self, PyObject *body)
{
    static const char key[] = "\"instances\"";
    const Screen *s = (const Screen *)self;
    char *start;
    Py_ssize_t length;
    if (!s->is_numeric || !PyBytes_CheckExact(body) || PyBytes_AsStringAndSize(body, &start, &length) < 0)
        Py_RETURN_NONE;
    Text text = {start, start, start + length};
    if (!take(&text, '{') || !take(&text, '"') || text.end - text.at < (Py_ssize_t)sizeof key ||
        memcmp(text.at - 1, key, sizeof key - 1) != 0)
        Py_RETURN_NONE;
    text.at += sizeof key - 2;
    if (!take(&text, ':') || !take(&text, '['))
        Py_RETURN_NONE;
    Py_ssize_t guess = length / (Py_ssize_t)(s->columns * 16) + 1; /* rows, where a number is about 15 characters long */
    PyObject *table = PyByteArray_FromStringAndSize(NULL, guess * (Py_ssize_t)(s->columns * sizeof(double)));
    int found = table && read_rows(s, &text, table) && take(&text, '}');
    skip_blanks(&text);
    if (found && text.at == text.end)
        return table;
    Py_XDECREF(table);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

static int holds_sets(const Screen *s)
{
    for (size_t c = 0; c < s->columns; c++) {
        int kind = s->kinds[c] & ~CELL_NULLABLE;
        if (kind >= CELL_KINDS || !PyUnicode_CheckExact(PyTuple_GetItem(s->names, (Py_ssize_t)c)))
            return 0;
        if (kind == CELL_CATEGORY && !PyFrozenSet_CheckExact(PyTuple_GetItem(s->values, (Py_ssize_t)c)))
            return 0;
    }
    return 1;
}

static int copy_limits(double *to, PyObject *from, size_t columns)
{
    for (size_t c = 0; c < columns; c++) {
        to[c] = PyFloat_AsDouble(PyTuple_GetItem(from, (Py_ssize_t)c));
        if (PyErr_Occurred())
            return -1;
    }
    return 0;
}

static void prepare_tables(Screen *s, int may_be_wide)
{
    s->is_wide = may_be_wide && has_avx2();
    s->is_numeric = s->columns > 0;
    for (size_t c = 0; c < s->columns; c++) {
        int kind = s->kinds[c] & ~CELL_NULLABLE;
        s->is_numeric &= kind <= CELL_INTEGER;
        s->has_integers |= kind == CELL_INTEGER;
        s->least[c] = fmax(s->lows[c], 1 - (double)EXACT);
        s->most[c] = fmin(s->highs[c], (double)EXACT - 1);
    }
}

static PyObject *screen_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"kinds", "lows", "highs", "values", "names", "scalar_only", NULL};
    const char *kinds;
    Py_ssize_t columns;
    int scalar_only = 0;
    PyObject *lows, *highs, *values, *columns_names;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "y#O!O!O!O!|p", names, &kinds, &columns, &PyTuple_Type, &lows,
                                     &PyTuple_Type, &highs, &PyTuple_Type, &values, &PyTuple_Type, &columns_names, &scalar_only))
        return NULL;
    if (PyTuple_Size(lows) != columns || PyTuple_Size(highs) != columns || PyTuple_Size(values) != columns ||
        PyTuple_Size(columns_names) != columns) {
        PyErr_SetString(PyExc_ValueError, "a screen has one of each for a column");
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Screen *s = (Screen *)allocate(type, 0);
    if (s == NULL)
        return NULL;
    s->columns = (size_t)columns;
    s->values = Py_NewRef(values);
    s->names = Py_NewRef(columns_names);
    s->kinds = malloc(s->columns + 1);
    s->lows = malloc((s->columns + 1) * sizeof(double));
    s->highs = malloc((s->columns + 1) * sizeof(double));
    s->least = malloc((s->columns + 1) * sizeof(double));
    s->most = malloc((s->columns + 1) * sizeof(double));
    if (s->kinds == NULL || s->lows == NULL || s->highs == NULL || s->least == NULL || s->most == NULL)
        PyErr_NoMemory();
    else if (copy_limits(s->lows, lows, s->columns) == 0 && copy_limits(s->highs, highs, s->columns) == 0) {
        memcpy(s->kinds, kinds, s->columns);
        prepare_tables(s, !scalar_only);
        if (!holds_sets(s))
            PyErr_SetString(PyExc_ValueError, "a screen has an unknown kind, a name that is no text, or no set");
    }
    if (PyErr_Occurred())
        Py_CLEAR(s);
    return (PyObject *)s;
}

static void screen_dealloc(PyObject *self)
{
    Screen *s = (Screen *)self;
    PyTypeObject *type = Py_TYPE(self);
    free(s->kinds);
    free(s->lows);
    free(s->highs);
    free(s->least);
    free(s->most);
    Py_CLEAR(s->names);
    Py_CLEAR(s->values);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyMethodDef screen_methods[] = {
    {"table", screen_table, METH_O, "table(body) -> float64 cells of its rows, None where it is not surely a table"},
    {"order", screen_order, METH_O, "order(rows) -> rows in the schema's order, None where one is not surely right"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot screen_slots[] = {
    {Py_tp_new, screen_new},
    {Py_tp_dealloc, screen_dealloc},
    {Py_tp_methods, screen_methods},
    {Py_tp_doc, "A quick look at rows against a schema; immutable, safe to share between threads."},
    {0, NULL},
};

static PyType_Spec screen_spec = {
    .name = "mlinfra.modelkit.sealing._walk.Screen",
    .basicsize = sizeof(Screen),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = screen_slots,
};

/* ---- the module ----------------------------------------------------------------------------------------------------- */

static int module_exec(PyObject *module)
{
    State *state = PyModule_GetState(module);
    state->refused = PyErr_NewException("mlinfra.modelkit.sealing._walk.Refused", PyExc_ValueError, NULL);
    state->model_type = PyType_FromModuleAndSpec(module, &model_spec, NULL);
    state->screen_type = PyType_FromModuleAndSpec(module, &screen_spec, NULL);
    if (state->refused == NULL || state->model_type == NULL || state->screen_type == NULL)
        return -1;
    if (PyModule_AddObjectRef(module, "Refused", state->refused) < 0 ||
        PyModule_AddObjectRef(module, "Model", state->model_type) < 0 ||
        PyModule_AddObjectRef(module, "Screen", state->screen_type) < 0)
        return -1;
    if (PyModule_AddIntConstant(module, "ABI", ABI) < 0 || PyModule_AddIntConstant(module, "AVX2", has_avx2()) < 0)
        return -1;
    return PyModule_AddStringConstant(module, "MARK", MARK); /* by which build.py knows its source */
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    State *state = PyModule_GetState(module);
    Py_VISIT(state->refused);
    Py_VISIT(state->model_type);
    Py_VISIT(state->screen_type);
    return 0;
}

static int module_clear(PyObject *module)
{
    State *state = PyModule_GetState(module);
    Py_CLEAR(state->refused);
    Py_CLEAR(state->model_type);
    Py_CLEAR(state->screen_type);
    return 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_walk",
    .m_doc = "Walks over sealed models.",
    .m_size = sizeof(State),
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
};

PyMODINIT_FUNC PyInit__walk(void)
{
    return PyModuleDef_Init(&module_definition);
}
