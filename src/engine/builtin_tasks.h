/**
 * @file
 * The files of templates/, as they were when the program was built.
 */
#ifndef GI_ENGINE_BUILTIN_TASKS_H
#define GI_ENGINE_BUILTIN_TASKS_H

#include "base/embedded.h"

/** In the order of src/engine/meson.build; ends with a NULL name. */
extern const gi_embedded gi_builtin_tasks[];

#endif
