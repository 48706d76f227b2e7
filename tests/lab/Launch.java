/** Starts Hudson 2.2.1 on a newer Java: it looks at the JVM's name and refuses what came after its time. */
public class Launch {
    public static void main(String[] arguments) throws Exception {
        System.setProperty("java.vm.vendor", "Sun Microsystems Inc.");
        System.setProperty("java.vendor", "Sun Microsystems Inc.");
        System.setProperty("java.vm.name", "Java HotSpot(TM) 64-Bit Server VM");
        System.setProperty("java.specification.version", "1.8");
        System.setProperty("java.version", "1.8.0_300");
        Class.forName("Main").getMethod("main", String[].class).invoke(null, (Object) arguments);
    }
}
