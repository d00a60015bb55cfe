/*
 * A stream of batches through an engine, from C++: submit without waiting, count what completes,
 * compare the throughput with what motley predicted.
 *
 *   stream MODEL.onnx [BATCHES]
 *
 *   c++ -std=c++17 stream.cpp $(pkg-config --cflags --libs motley) -o stream
 */
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <motley/decide.h>
#include <motley/engine.h>

namespace
{

/* An object of motley, destroyed where it goes out of scope. */
template <typename T, void (*destroy)(T *)> struct destroyer {
    void operator()(T *object) const
    {
        destroy(object);
    }
};
template <typename T, void (*destroy)(T *)> using owned = std::unique_ptr<T, destroyer<T, destroy>>;
using model_ptr = owned<mly_model, mly_model_destroy>;
using machine_ptr = owned<mly_machine, mly_machine_destroy>;
using plan_ptr = owned<mly_plan, mly_plan_destroy>;
using engine_ptr = owned<mly_engine, mly_engine_destroy>;

/* Calls function(arguments…, &out, &err); an error becomes an exception with motley's message. */
template <typename T, typename F, typename... A> T *make(F function, A... arguments)
{
    mly_error err{};
    T *object = nullptr;
    if (function(arguments..., &object, &err) != MLY_OK)
        throw std::runtime_error(err.message);
    return object;
}

/* Zeroed inputs for one batch; freed with the object. */
class inputs
{
  public:
    inputs(const mly_model *model, uint32_t batch) : tensors(mly_model_input_count(model))
    {
        for (size_t i = 0; i < tensors.size(); i++) {
            const mly_port *port = mly_model_input(model, i);
            mly_shape shape = port->shape;
            for (int32_t d = 0; d < shape.rank; d++) {
                if (shape.dims[d] < 0)
                    shape.dims[d] = d == 0 ? batch : 1;
            }
            mly_error err{};
            if (mly_tensor_init(port->dtype, &shape, &tensors[i], &err) != MLY_OK)
                throw std::runtime_error(err.message);
        }
    }
    ~inputs()
    {
        for (mly_tensor &tensor : tensors)
            mly_tensor_fini(&tensor);
    }
    inputs(const inputs &) = delete;
    inputs &operator=(const inputs &) = delete;

    const mly_tensor *data() const
    {
        return tensors.data();
    }
    size_t size() const
    {
        return tensors.size();
    }

  private:
    std::vector<mly_tensor> tensors;
};

struct tally {
    std::atomic<unsigned> done{0};
    std::atomic<unsigned> failed{0};
};

/* Runs on a worker thread; must not block. */
void on_done(mly_request *, mly_status status, void *user)
{
    tally *counts = static_cast<tally *>(user);
    (status == MLY_OK ? counts->done : counts->failed)++;
}

int run(const char *path, unsigned batches)
{
    model_ptr model(make<mly_model>(mly_model_load, path, nullptr));
    machine_ptr machine(make<mly_machine>(mly_machine_create, nullptr));
    mly_decide_options options{};
    options.objective = MLY_OBJECTIVE_THROUGHPUT;
    options.budget_ns = 5'000'000'000;
    plan_ptr plan(make<mly_plan>(mly_decide, model.get(), machine.get(), &options));
    engine_ptr engine(make<mly_engine>(mly_engine_create, model.get(), plan.get(), nullptr));

    const uint32_t batch = mly_plan_batch(plan.get());
    inputs zeros(model.get(), batch);
    tally counts;
    const auto began = std::chrono::steady_clock::now();
    for (unsigned i = 0; i < batches; i++) {
        mly_error err{};
        if (mly_engine_submit(engine.get(), zeros.data(), zeros.size(), nullptr, true, on_done,
                              &counts, nullptr, &err) != MLY_OK)
            throw std::runtime_error(err.message);
    }
    mly_engine_drain(engine.get());
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;

    std::printf("%u batches of %u: %.1f samples/s, predicted %.1f\n", counts.done.load(), batch,
                counts.done.load() * double(batch) / took.count(),
                mly_plan_throughput_per_s(plan.get()));
    return counts.failed == 0 && counts.done == batches ? 0 : 1;
}

} // namespace

int main(int argc, char **argv)
{
    const unsigned batches =
        argc > 2 ? static_cast<unsigned>(std::strtoul(argv[2], nullptr, 10)) : 50;

    if (argc < 2 || argc > 3 || batches == 0) {
        std::fprintf(stderr, "usage: %s MODEL.onnx [BATCHES]\n", argv[0]);
        return 2;
    }
    try {
        return run(argv[1], batches);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "stream: %s\n", error.what());
        return 1;
    }
}
