package host;

import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;

/** One clock for all builds. */
final class Timers {
    private static final ScheduledExecutorService CLOCK = Executors.newScheduledThreadPool(1, work -> {
        Thread thread = new Thread(work, "clock");
        thread.setDaemon(true);
        return thread;
    });

    private Timers() { }

    static ScheduledFuture<?> in(long time, TimeUnit unit, Runnable then) {
        return CLOCK.schedule(then, time, unit);
    }
}
