/* What motley plan shows besides the plan: its picture, its family, all splits of a batch. */
#ifndef MLY_CLI_PLAN_MORE_H
#define MLY_CLI_PLAN_MORE_H

#include "internal.h"
#include "plan/plan.h"

/*
 * The costs that a plan was made from: read from the file where one is named, else those stored of this
 * model on this box (measured with the options' bindings). *out is the caller's; NULL where all
 * processors are modelled.
 */
enum mly_status cli_plan_costs(const char *file, const mly_model *model, const mly_machine *machine,
                               const struct mly_dim_binding *dims, size_t dim_count,
                               const struct mly_processor_list *processors, mly_cost_table **out,
                               struct mly_error *err) MLY_MUST_CHECK;

/*
 * Draws the plan into a file for Graphviz ("-": standard output), with the stages' times where they are
 * known. MLY_E_IO and others of writing.
 */
enum mly_status cli_plan_draw(const struct cli_common *common, const mly_plan *plan,
                              const mly_model *model, const mly_cost_table *costs,
                              const struct mly_dim_binding *dims, size_t dim_count, bool contracted,
                              const char *file, struct mly_error *err) MLY_MUST_CHECK;

/* The members of a family as a table; nothing for a plan without. */
void cli_plan_print_family(const mly_plan *plan);
/* Where the segments of a member run: "p100:0 | cpu:0-1 + cpu:2-3", cut short where it is long. */
void cli_plan_member_text(const mly_plan *plan, const struct mly_plan_member *m, char *text,
                          size_t size);

/* Prints every split of the request's batch, as CSV or JSON. */
enum mly_status cli_plan_print_splits(const struct cli_common *common,
                                      const struct mly_plan_request *request, uint32_t step,
                                      struct mly_error *err) MLY_MUST_CHECK;

#endif
