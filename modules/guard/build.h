/* How this program was built: sanitizers read and call more than it does. */
#ifndef SPX_GUARD_BUILD_H
#define SPX_GUARD_BUILD_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BUILT_WITH_SANITIZERS 1
#else
#define BUILT_WITH_SANITIZERS 0
#endif

#endif
