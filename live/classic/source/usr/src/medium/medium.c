/* Says what / is: on a live medium an overlay, whose changes are gone with the power. */
#include <stdio.h>
#include <string.h>

int main(void)
{
    char device[256], folder[256], type[64] = "unknown", line[1024];
    FILE *mounts = fopen("/proc/mounts", "r");
    if (mounts == NULL) {
        perror("/proc/mounts");
        return 1;
    }
    while (fgets(line, sizeof line, mounts) != NULL) {
        char found[64];
        if (sscanf(line, "%255s %255s %63s", device, folder, found) == 3 && strcmp(folder, "/") == 0)
            strcpy(type, found);
    }
    fclose(mounts);
    printf("/ is %s\n", type);
    return 0;
}
