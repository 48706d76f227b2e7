import java.lang.reflect.Field;
import java.net.Socket;

/**
 * Starts Hudson 2.2.1 on a newer Java: it looks at the JVM's name and refuses what came after its time. And wakes those
 * threads of its web server that were given a connection in the moment before they began to wait: it never would.
 */
public class Launch {
    public static void main(String[] arguments) throws Exception {
        System.setProperty("java.vm.vendor", "Sun Microsystems Inc.");
        System.setProperty("java.vendor", "Sun Microsystems Inc.");
        System.setProperty("java.vm.name", "Java HotSpot(TM) 64-Bit Server VM");
        System.setProperty("java.specification.version", "1.8");
        System.setProperty("java.version", "1.8.0_300");
        Thread waker = new Thread(Launch::wake);
        waker.setDaemon(true);
        waker.start();
        Class.forName("Main").getMethod("main", String[].class).invoke(null, (Object) arguments);
    }

    private static void wake() {
        try {
            while (true) {
                Thread.sleep(100);
                for (Thread thread : Thread.getAllStackTraces().keySet()) {
                    if (thread.getName().startsWith("RequestHandlerThread") && thread.getState() == Thread.State.WAITING) {
                        wake(thread);
                    }
                }
            }
        } catch (Exception failure) {
            failure.printStackTrace();
        }
    }

    private static void wake(Thread thread) throws Exception {
        StackTraceElement[] frames = thread.getStackTrace();
        Object handler = field(Thread.class, "target").get(thread);
        if (frames.length > 4 || handler == null) {
            return; // it waits for something else, in the middle of a request
        }
        Socket socket = (Socket) field(handler.getClass(), "socket").get(handler);
        if (socket != null && !socket.isClosed()) {
            synchronized (handler) {
                handler.notifyAll();
            }
        }
    }

    private static Field field(Class<?> kind, String name) throws Exception {
        Field field = kind.getDeclaredField(name);
        field.setAccessible(true);
        return field;
    }
}
