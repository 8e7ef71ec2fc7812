/* Counts the OOM kills of our control group, before main can be one of them: pyinit.oom counts on from there. */
#ifndef OOM_H
#define OOM_H

/* The number, from the file that pyinit.oom finds first (cgroup v1 or v2); -1 where there is none. */
long long oom_kills(void);

#endif
