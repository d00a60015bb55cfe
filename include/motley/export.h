/*
 * Visibility and attribute macros shared by all public headers.
 *
 * MLY_API marks what the library exports, MLY_MUST_CHECK what must not be ignored, MLY_PRINTF what is
 * formatted as by printf; MLY_BEGIN_DECLS and MLY_END_DECLS enclose C declarations in C++. A compiler
 * that does not know them sees nothing there.
 */
#ifndef MOTLEY_EXPORT_H
#define MOTLEY_EXPORT_H

#if defined(__GNUC__)
#define MLY_API __attribute__((visibility("default")))
#define MLY_MUST_CHECK __attribute__((warn_unused_result))
#define MLY_PRINTF(format_index, first_index)                                                      \
    __attribute__((format(printf, format_index, first_index)))
#else
#define MLY_API
#define MLY_MUST_CHECK
#define MLY_PRINTF(format_index, first_index)
#endif

#ifdef __cplusplus
#define MLY_BEGIN_DECLS extern "C" {
#define MLY_END_DECLS }
#else
#define MLY_BEGIN_DECLS
#define MLY_END_DECLS
#endif

#endif
