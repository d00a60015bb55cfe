/* motley simulate: the ways of running a plan, of which a family has several, and what each did. */
#include "base/alloc.h"
#include "base/stats.h"
#include "plan_more.h"
#include "simulate.h"

/* --- before --- */

static enum mly_status open_way(struct simulate *s, const struct simulated_plan *plan,
                                struct simulated_way *way, struct mly_error *err)
{
    const struct mly_virtual_cost_request request = {.model = s->model,
                                                     .plan = way->plan,
                                                     .measured = s->measured,
                                                     .batch = plan->batch,
                                                     .bindings = s->dims.items,
                                                     .binding_count = s->dims.count,
                                                     .exact = s->given->exact,
                                                     .cold = s->given->cold};
    enum mly_status status = mly_virtual_costs(&request, &way->costs, err);
    if (status == MLY_OK)
        status = mly_flow_init(s->model, way->plan, true, &way->flow, err);
    if (status == MLY_OK)
        status = mly_flow_find_links(&way->flow, way->plan, s->box.machine, plan->batch, err);
    return status;
}

enum mly_status simulate_open_ways(struct simulate *s, struct simulated_plan *plan,
                                   struct mly_error *err)
{
    const mly_plan *p = plan->plan;
    const bool family = p->family_count > 1;
    plan->way_count = family ? p->family_count : 1;
    plan->ways = mly_alloc_array(plan->way_count, sizeof *plan->ways);
    plan->runnable = mly_alloc_array(plan->way_count, sizeof *plan->runnable);
    if (!plan->ways || !plan->runnable)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    enum mly_status status = MLY_OK;
    for (uint32_t i = 0; i < plan->way_count && status == MLY_OK; i++) {
        struct simulated_way *way = &plan->ways[i];
        if (family)
            status = mly_plan_take_member(p, i, &way->member, err);
        way->plan = family ? way->member : p;
        if (status == MLY_OK)
            status = open_way(s, plan, way, err);
        if (status != MLY_OK && family)
            mly_error_prefix(err, status, "plan %u of the family", i + 1);
        plan->runnable[i] =
            (struct mly_virtual_way){.flow = &way->flow,
                                     .costs = way->costs,
                                     .max_rate_per_s = family ? p->family[i].max_rate_per_s : 0};
    }
    return status;
}

void simulate_close_ways(struct simulated_plan *plan)
{
    for (uint32_t i = 0; i < plan->way_count && plan->ways; i++) {
        mly_flow_fini(&plan->ways[i].flow);
        mly_plan_destroy(plan->ways[i].member);
        mly_free(plan->ways[i].costs);
    }
    mly_free(plan->ways);
    mly_free(plan->runnable);
}

/* --- after --- */

void simulated_print_ways(const struct simulated *run)
{
    const mly_plan *plan = run->plan->plan;
    struct cli_table table;
    char a[CLI_NUMBER_BYTES], rate[MLY_RATE_TEXT_BYTES];
    if (run->plan->way_count < 2)
        return;
    printf("\nways, by the rate of arrivals (%llu changes):\n",
           (unsigned long long)run->result.way_changes);
    cli_table_init(&table,
                   ">way|>up to samples/s|segments on|>of the time|>requests|>mean latency");
    for (uint32_t i = 0; i < run->plan->way_count; i++) {
        const struct mly_virtual_served *served = &run->result.ways[i];
        char where[80] = "";
        cli_plan_member_text(plan, &plan->family[i], where, sizeof where);
        cli_table_cell(&table, "%u", i + 1);
        cli_table_cell(&table, "%s", mly_rate_text(plan->family[i].max_rate_per_s, rate));
        cli_table_cell(&table, "%s", where);
        cli_table_cell(&table, "%.1f %%", served->share * 100);
        cli_table_cell(&table, "%llu", (unsigned long long)served->requests);
        cli_table_cell(&table, "%s",
                       served->mean_latency_ns > 0 ? cli_time(served->mean_latency_ns, a) : "-");
    }
    cli_table_print(&table, stdout);
    cli_table_fini(&table);
}

void simulated_put_ways(struct mly_json_writer *json, const struct simulated *run)
{
    const mly_plan *plan = run->plan->plan;
    if (run->plan->way_count < 2)
        return;
    mly_json_put_int(json, "way_changes", (int64_t)run->result.way_changes);
    mly_json_begin_array(json, "ways");
    for (uint32_t i = 0; i < run->plan->way_count; i++) {
        const struct mly_virtual_served *served = &run->result.ways[i];
        mly_json_begin_object(json, NULL);
        mly_json_put_number(json, "max_rate_per_s", plan->family[i].max_rate_per_s);
        mly_json_put_number(json, "share", served->share);
        mly_json_put_int(json, "requests", (int64_t)served->requests);
        mly_json_put_number(json, "mean_latency_ns", served->mean_latency_ns);
        mly_json_end_object(json);
    }
    mly_json_end_array(json);
}
