/* Runs greedy.onnx of a bundle through the C interface of onnxruntime: what any other language does, too.

   greedy GRAPH FACTOR EXTRA reads ids, EOS included, a sentence a line, and prints the ids of the outputs. FACTOR and
   EXTRA are max_length_factor and max_length_extra of bundle.json. All sentences are one batch.

   With the header that comes with onnxruntime, <onnxruntime_c_api.h>, the declarations up to the line are not needed. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct Status Status;
typedef struct Env Env;
typedef struct SessionOptions SessionOptions;
typedef struct Session Session;
typedef struct RunOptions RunOptions;
typedef struct MemoryInfo MemoryInfo;
typedef struct Value Value;
typedef struct ShapeInfo ShapeInfo;

/* The functions stand in a table that only grows; the places between those that are used here are counted. */
typedef struct {
    void *_0[2];
    const char *(*GetErrorMessage)(const Status *);
    Status *(*CreateEnv)(int level, const char *name, Env **);
    void *_4[3];
    Status *(*CreateSession)(const Env *, const char *path, const SessionOptions *, Session **);
    void *_8;
    Status *(*Run)(Session *, const RunOptions *, const char *const *input_names, const Value *const *inputs,
                   size_t input_count, const char *const *output_names, size_t output_count, Value **outputs);
    Status *(*CreateSessionOptions)(SessionOptions **);
    void *_11[13];
    Status *(*SetIntraOpNumThreads)(SessionOptions *, int);
    void *_25[24];
    Status *(*CreateTensorWithDataAsOrtValue)(const MemoryInfo *, void *data, size_t bytes, const int64_t *shape,
                                              size_t rank, int type, Value **);
    void *_50;
    Status *(*GetTensorMutableData)(Value *, void **);
    void *_52[9];
    Status *(*GetDimensionsCount)(const ShapeInfo *, size_t *);
    Status *(*GetDimensions)(const ShapeInfo *, int64_t *, size_t);
    void *_63[2];
    Status *(*GetTensorTypeAndShape)(const Value *, ShapeInfo **);
    void *_66[3];
    Status *(*CreateCpuMemoryInfo)(int allocator, int memory, MemoryInfo **);
    void *_70[22];
    void (*ReleaseEnv)(Env *);
    void (*ReleaseStatus)(Status *);
    void (*ReleaseMemoryInfo)(MemoryInfo *);
    void (*ReleaseSession)(Session *);
    void (*ReleaseValue)(Value *);
    void *_97[2];
    void (*ReleaseShapeInfo)(ShapeInfo *);
    void (*ReleaseSessionOptions)(SessionOptions *);
} Api;

typedef struct {
    const Api *(*GetApi)(uint32_t version);
    const char *(*GetVersionString)(void);
} ApiBase;

extern const ApiBase *OrtGetApiBase(void);

enum { API_VERSION = 21, WARNING = 2, ARENA = 1, DEFAULT_MEMORY = 0, FLOAT = 1, INT32 = 6, BOOL = 9 };

/* ------------------------------------------------------------------------------------------------------------------ */

enum { PADDING = 0, LONGEST_LINE = 1 << 16, MULTIPLE = 4, INPUTS = 7 };

static const Api *api;

static void check(Status *status) {
    if (status != NULL) {
        fprintf(stderr, "%s\n", api->GetErrorMessage(status));
        api->ReleaseStatus(status);
        exit(1);
    }
}

static void *allocate(void *old, size_t bytes) {
    void *memory = realloc(old, bytes);
    if (memory == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    return memory;
}

typedef struct {
    int32_t *ids;
    size_t length;
} Sentence;

/* Reads numbers up to the end of a line; 0 when there is no more line. */
static int read_sentence(Sentence *sentence) {
    static char line[LONGEST_LINE];
    if (fgets(line, sizeof line, stdin) == NULL)
        return 0;
    sentence->ids = NULL;
    sentence->length = 0;
    char *rest = line, *end;
    for (long id = strtol(rest, &end, 10); end != rest; id = strtol(rest, &end, 10)) {
        sentence->ids = allocate(sentence->ids, (sentence->length + 1) * sizeof *sentence->ids);
        sentence->ids[sentence->length++] = (int32_t)id;
        rest = end;
    }
    return 1;
}

/* The rows of a batch are padded with 0 to the length of the longest, rounded up to a multiple of 4. */
static int32_t *padded(const Sentence *sentences, size_t count, size_t *length) {
    size_t longest = 1;
    for (size_t i = 0; i < count; i++)
        if (sentences[i].length > longest)
            longest = sentences[i].length;
    *length = (longest + MULTIPLE - 1) / MULTIPLE * MULTIPLE;
    int32_t *ids = allocate(NULL, count * *length * sizeof *ids);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < *length; j++)
            ids[i * *length + j] = j < sentences[i].length ? sentences[i].ids[j] : PADDING;
    return ids;
}

static Value *tensor(const MemoryInfo *memory, void *data, size_t bytes, const int64_t *shape, size_t rank, int type) {
    Value *value = NULL;
    check(api->CreateTensorWithDataAsOrtValue(memory, data, bytes, shape, rank, type, &value));
    return value;
}

/* tokens (B, 1, T) and lengths (B, 1). */
static void print_outputs(Value *tokens, Value *lengths) {
    ShapeInfo *info = NULL;
    size_t rank = 0;
    int64_t shape[3];
    check(api->GetTensorTypeAndShape(tokens, &info));
    check(api->GetDimensionsCount(info, &rank));
    if (rank != 3) {
        fprintf(stderr, "tokens have %zu axes, not 3\n", rank);
        exit(1);
    }
    check(api->GetDimensions(info, shape, rank));
    api->ReleaseShapeInfo(info);
    void *ids = NULL, *ends = NULL;
    check(api->GetTensorMutableData(tokens, &ids));
    check(api->GetTensorMutableData(lengths, &ends));
    for (int64_t i = 0; i < shape[0]; i++) {
        const int32_t *row = (const int32_t *)ids + i * shape[1] * shape[2];
        for (int32_t j = 0; j < ((const int32_t *)ends)[i * shape[1]]; j++)
            printf(j ? " %d" : "%d", row[j]);
        printf("\n");
    }
}

int main(int count, char **arguments) {
    if (count != 4) {
        fprintf(stderr, "usage: greedy GRAPH FACTOR EXTRA\n");
        return 2;
    }
    float factor = strtof(arguments[2], NULL), penalty = 0.0f, base = 0.0f, reward = 0.0f;
    uint8_t scores = 0; /* the ids are all that is printed */
    int32_t extra = (int32_t)strtol(arguments[3], NULL, 10);

    Sentence *sentences = NULL, sentence;
    size_t batch = 0, length = 0;
    while (read_sentence(&sentence)) {
        sentences = allocate(sentences, (batch + 1) * sizeof *sentences);
        sentences[batch++] = sentence;
    }
    if (batch == 0)
        return 0;
    int32_t *ids = padded(sentences, batch, &length);

    api = OrtGetApiBase()->GetApi(API_VERSION);
    if (api == NULL) {
        fprintf(stderr, "onnxruntime %s is too old\n", OrtGetApiBase()->GetVersionString());
        return 1;
    }
    Env *env = NULL;
    SessionOptions *options = NULL;
    Session *session = NULL;
    MemoryInfo *memory = NULL;
    check(api->CreateEnv(WARNING, "greedy", &env));
    check(api->CreateSessionOptions(&options));
    check(api->SetIntraOpNumThreads(options, 1));
    check(api->CreateSession(env, arguments[1], options, &session)); /* weights.bin lies beside the graph */
    check(api->CreateCpuMemoryInfo(ARENA, DEFAULT_MEMORY, &memory));

    const int64_t shape[] = {(int64_t)batch, (int64_t)length};
    const char *input_names[INPUTS] = {"source_ids",     "max_length_factor",   "max_length_extra",
                                       "length_penalty", "length_penalty_base", "word_reward",
                                       "with_scores"};
    Value *inputs[INPUTS] = {
        tensor(memory, ids, batch * length * sizeof *ids, shape, 2, INT32),
        tensor(memory, &factor, sizeof factor, NULL, 0, FLOAT), /* a scalar has rank 0 */
        tensor(memory, &extra, sizeof extra, NULL, 0, INT32),
        tensor(memory, &penalty, sizeof penalty, NULL, 0, FLOAT),
        tensor(memory, &base, sizeof base, NULL, 0, FLOAT),
        tensor(memory, &reward, sizeof reward, NULL, 0, FLOAT),
        tensor(memory, &scores, sizeof scores, NULL, 0, BOOL),
    };
    const char *output_names[] = {"tokens", "lengths"};
    Value *outputs[2] = {NULL, NULL};
    check(api->Run(session, NULL, input_names, (const Value *const *)inputs, INPUTS, output_names, 2, outputs));
    print_outputs(outputs[0], outputs[1]);

    for (size_t i = 0; i < INPUTS; i++)
        api->ReleaseValue(inputs[i]);
    for (size_t i = 0; i < 2; i++)
        api->ReleaseValue(outputs[i]);
    api->ReleaseMemoryInfo(memory);
    api->ReleaseSession(session);
    api->ReleaseSessionOptions(options);
    api->ReleaseEnv(env);
    for (size_t i = 0; i < batch; i++)
        free(sentences[i].ids);
    free(sentences);
    free(ids);
    return 0;
}
