/* A resolver for LD_PRELOAD: it looks up no name, and appends each that is asked for to the file of LOOKUPS. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef int Resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    struct addrinfo numeric = {0};
    Resolver *resolve = (Resolver *)dlsym(RTLD_NEXT, "getaddrinfo");
    char line[300];
    int file, size;
    if (hints)
        numeric = *hints;
    numeric.ai_flags |= AI_NUMERICHOST;
    if (!name || resolve(name, service, &numeric, found) == 0) /* An address is no name. */
        return name ? 0 : resolve(name, service, hints, found);
    size = snprintf(line, sizeof line, "%.253s\n", name);
    file = open(getenv("LOOKUPS"), O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (file < 0 || write(file, line, (size_t)size) != size)
        abort();
    close(file);
    return EAI_FAIL;
}
