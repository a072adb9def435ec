// What JavaMailSenderImpl of Spring does with its settings: the file of settings, From, To, Subject.
import java.io.FileReader;
import java.util.Properties;
import javax.mail.*;
import javax.mail.internet.*;

public class Send {
    public static void main(String[] args) throws Exception {
        Properties settings = new Properties(), session = new Properties();
        settings.load(new FileReader(args[0]));
        String own = "spring.mail.properties.";
        for (String name : settings.stringPropertyNames())
            if (name.startsWith(own)) session.put(name.substring(own.length()), settings.get(name));
        Session mail = Session.getInstance(session);
        MimeMessage message = new MimeMessage(mail);
        message.setFrom(args[1]);
        message.setRecipients(Message.RecipientType.TO, args[2]);
        message.setSubject(args[3]);
        message.setText("Hello");
        message.saveChanges();
        try (Transport transport = mail.getTransport("smtp")) {
            transport.connect(settings.getProperty("spring.mail.host"),
                Integer.parseInt(settings.getProperty("spring.mail.port")),
                settings.getProperty("spring.mail.username"), settings.getProperty("spring.mail.password"));
            transport.sendMessage(message, message.getAllRecipients());
        }
    }
}
