/*
 * Sizes of symbolic dimensions: what the caller gives is checked against the model's inputs, and
 * what is left becomes 1.
 */
#include "profile/dims.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* Appends to text, cut at its size; returns the new length. */
static size_t append(char *text, size_t bytes, size_t length, const char *separator,
                     const char *word)
{
    if (length < bytes)
        length += (size_t)snprintf(text + length, bytes - length, "%s%.200s", separator, word);
    return length;
}

static const struct mly_dim_binding *find(const struct mly_dim_binding *items, size_t count,
                                          const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(items[i].name, name) == 0)
            return &items[i];
    return NULL;
}

static size_t dims_of_inputs(const mly_model *model)
{
    const struct mly_graph *graph = mly_model_graph(model);
    size_t count = 0;
    for (uint32_t i = 0; i < graph->input_count; i++) {
        int32_t rank = graph->tensors[graph->inputs[i]].shape.rank;
        count += rank > 0 ? (size_t)rank : 0;
    }
    return count;
}

/* "state[1]", kept in `names`. */
static const char *make_name(struct profile_dims *names, const char *input, int32_t dim)
{
    char *name = mly_strfmt("%s[%d]", input, dim);
    if (name)
        names->made_names[names->made_count++] = name;
    return name;
}

/* Every symbolic dimension of the inputs but the batch, once, with size 1, into names. */
static enum mly_status list_names(const mly_model *model, struct profile_dims *names,
                                  struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(model);
    const int64_t fixed = mly_model_fixed_batch(model);
    struct mly_shape *shapes =
        mly_alloc_array(graph->tensor_count ? graph->tensor_count : 1, sizeof *shapes);
    if (!shapes)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for shapes");
    enum mly_status status = mly_graph_bind(model, fixed > 0 ? fixed : 1, NULL, 0, shapes, err);
    for (uint32_t i = 0; status == MLY_OK && i < graph->input_count; i++) {
        const struct mly_graph_tensor *tensor = &graph->tensors[graph->inputs[i]];
        const struct mly_shape *bound = &shapes[graph->inputs[i]];
        if (bound->rank < 0 && !names->rankless)
            names->rankless = tensor->name;
        for (int32_t d = 0; status == MLY_OK && d < bound->rank; d++) {
            if (bound->dims[d] >= 0)
                continue;
            const char *name = tensor->dim_names[d];
            if (!name || !*name)
                name = make_name(names, tensor->name, d);
            if (!name)
                status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory for dimensions");
            else if (!find(names->items, names->count, name))
                names->items[names->count++] = (struct mly_dim_binding){name, 1};
        }
    }
    mly_free(shapes);
    return status;
}

static bool is_batch(const mly_model *model, const char *name)
{
    const struct mly_graph *graph = mly_model_graph(model);
    for (uint32_t i = 0; i < graph->input_count; i++) {
        const struct mly_graph_tensor *tensor = &graph->tensors[graph->inputs[i]];
        for (int32_t d = 0; d < tensor->shape.rank; d++)
            if (tensor->shape.dims[d] < 0 && tensor->dim_names[d] &&
                strcmp(tensor->dim_names[d], name) == 0)
                return true; /* asked only for names that are not among the others */
    }
    return false;
}

static enum mly_status check_given(const mly_model *model, const struct profile_dims *known,
                                   const struct mly_dim_binding *bindings, size_t index,
                                   struct mly_error *err)
{
    const struct mly_dim_binding *given = &bindings[index];
    const struct mly_dim_binding *before = find(bindings, index, given->name);
    if (given->size < 1)
        return mly_error_set(err, MLY_E_INVALID, "dimension '%.200s' = %lld: it must be at least 1",
                             given->name, (long long)given->size);
    if (before && before->size != given->size)
        return mly_error_set(err, MLY_E_INVALID,
                             "dimension '%.200s' is given two sizes, %lld and %lld", given->name,
                             (long long)before->size, (long long)given->size);
    if (find(known->items, known->count, given->name))
        return MLY_OK;
    if (is_batch(model, given->name))
        return mly_error_set(err, MLY_E_INVALID,
                             "dimension '%.200s' is the batch: its sizes are the batch sizes",
                             given->name);
    char names[512] = "";
    size_t length = 0;
    for (size_t i = 0; i < known->count; i++)
        length = append(names, sizeof names, length, i ? ", " : "", known->items[i].name);
    return mly_error_set(err, MLY_E_INVALID, "no input has a dimension '%.200s'; %s%s", given->name,
                         known->count ? "there are: " : "all are fixed but the batch", names);
}

enum mly_status profile_dims_init(const mly_model *model, const struct mly_dim_binding *bindings,
                                  size_t count, struct profile_dims *out, struct mly_error *err)
{
    size_t most = count + dims_of_inputs(model) + 1;
    struct profile_dims known = {0}, dims = {0};
    known.items = mly_alloc_array(most, sizeof *known.items);
    known.made_names = mly_alloc_array(most, sizeof *known.made_names);
    dims.items = mly_alloc_array(most, sizeof *dims.items);
    enum mly_status status = known.items && known.made_names && dims.items
                                 ? list_names(model, &known, err)
                                 : mly_error_set(err, MLY_E_NO_MEMORY, "no memory for dimensions");
    for (size_t i = 0; status == MLY_OK && i < count; i++) {
        status = check_given(model, &known, bindings, i, err);
        if (status == MLY_OK && !find(dims.items, dims.count, bindings[i].name))
            dims.items[dims.count++] = bindings[i];
    }
    dims.given_count = dims.count;
    dims.made_names = known.made_names;
    dims.made_count = known.made_count;
    dims.rankless = known.rankless;
    known.made_names = NULL;
    known.made_count = 0;
    for (size_t i = 0; status == MLY_OK && i < known.count; i++)
        if (!find(dims.items, dims.given_count, known.items[i].name))
            dims.items[dims.count++] = known.items[i];
    profile_dims_fini(&known);
    if (status != MLY_OK) {
        profile_dims_fini(&dims);
        return status;
    }
    *out = dims;
    return MLY_OK;
}

void profile_dims_fini(struct profile_dims *dims)
{
    for (size_t i = 0; i < dims->made_count; i++)
        mly_free(dims->made_names[i]);
    mly_free(dims->made_names);
    mly_free(dims->items);
    *dims = (struct profile_dims){0};
}

int64_t profile_dims_nameless(const struct profile_dims *dims, const char *input, int32_t dim)
{
    char place[16];
    size_t length = strlen(input);
    snprintf(place, sizeof place, "[%d]", dim);
    for (size_t i = 0; i < dims->given_count; i++)
        if (strncmp(dims->items[i].name, input, length) == 0 &&
            strcmp(dims->items[i].name + length, place) == 0)
            return dims->items[i].size;
    return 1;
}

static int compare_names(const void *a, const void *b)
{
    const struct mly_dim_binding *x = a, *y = b;
    return strcmp(x->name, y->name);
}

enum mly_status profile_dims_text(const struct profile_dims *dims, char *text, size_t text_bytes,
                                  struct mly_error *err)
{
    size_t length = 0;
    struct mly_dim_binding *sorted = mly_alloc_array(dims->given_count + 1, sizeof *sorted);
    if (!sorted)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for dimensions");
    if (dims->given_count)
        memcpy(sorted, dims->items, dims->given_count * sizeof *sorted);
    qsort(sorted, dims->given_count, sizeof *sorted, compare_names);
    text[0] = '\0';
    for (size_t i = 0; i < dims->given_count && length < text_bytes; i++)
        if (sorted[i].size != 1)
            length +=
                (size_t)snprintf(text + length, text_bytes - length, "%s%s=%lld", length ? "," : "",
                                 sorted[i].name, (long long)sorted[i].size);
    mly_free(sorted);
    if (length >= text_bytes)
        return mly_error_set(err, MLY_E_LIMIT, "names of dimensions of more than %zu bytes in all",
                             text_bytes - 1);
    return MLY_OK;
}

bool profile_dims_assumed(const struct profile_dims *dims, char *text, size_t text_bytes)
{
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = dims->given_count; i < dims->count; i++)
        length = append(text, text_bytes, length, i > dims->given_count ? ", " : "",
                        dims->items[i].name);
    return length > 0;
}

bool profile_dims_remark(const struct profile_dims *dims, char *text, size_t text_bytes)
{
    char names[512];
    const bool length = profile_dims_assumed(dims, names, sizeof names);
    if (length && dims->rankless)
        snprintf(text, text_bytes,
                 "dimensions that were given no size count as 1 (--dim NAME=N sets one): %s; and "
                 "input '%.100s', whose rank is not known, is a single number",
                 names, dims->rankless);
    else if (length)
        snprintf(text, text_bytes,
                 "dimensions that were given no size count as 1 (--dim NAME=N sets one): %s",
                 names);
    else if (dims->rankless)
        snprintf(text, text_bytes, "input '%.200s', whose rank is not known, is a single number",
                 dims->rankless);
    return length || dims->rankless;
}
