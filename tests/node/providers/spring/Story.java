package story;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

/** What Spring Boot configures from properties, and nothing else. */
@SpringBootApplication
public class Story {
  public static void main(String[] args) {
    SpringApplication.run(Story.class, args);
  }
}
