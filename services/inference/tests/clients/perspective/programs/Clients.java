import com.google.api.client.googleapis.batch.BatchRequest;
import com.google.api.client.googleapis.batch.json.JsonBatchCallback;
import com.google.api.client.googleapis.json.GoogleJsonError;
import com.google.api.client.googleapis.services.json.AbstractGoogleJsonClient;
import com.google.api.client.googleapis.services.json.AbstractGoogleJsonClientRequest;
import com.google.api.client.http.HttpHeaders;
import com.google.api.client.http.javanet.NetHttpTransport;
import com.google.api.client.json.GenericJson;
import com.google.api.client.json.jackson2.JacksonFactory;
import com.google.api.client.util.Key;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;

/** Google's client for Java, with a service class as its generator makes it; prints what each call returns. */
public class Clients {
  static final String HOST = "https://commentanalyzer.googleapis.com/";

  static final class Service extends AbstractGoogleJsonClient {
    Service(Builder builder) {
      super(builder);
    }

    static final class Builder extends AbstractGoogleJsonClient.Builder {
      Builder() {
        super(new NetHttpTransport(), JacksonFactory.getDefaultInstance(), HOST, "", null, false);
        setBatchPath("batch");
        setApplicationName("check");
      }

      @Override
      public Service build() {
        return new Service(this);
      }
    }

    Call call(String method, GenericJson body) {
      return new Call(this, "v1alpha1/comments:" + method, body);
    }
  }

  public static final class Call extends AbstractGoogleJsonClientRequest<GenericJson> {
    @Key public String key = "KEY";

    Call(Service service, String path, GenericJson body) {
      super(service, "POST", path, body, GenericJson.class);
    }
  }

  static GenericJson asked(String text, String... attributes) {
    GenericJson requested = new GenericJson();
    for (String attribute : attributes) {
      requested.set(attribute, new GenericJson());
    }
    return new GenericJson().set("comment", new GenericJson().set("text", text)).set("requestedAttributes", requested);
  }

  @SuppressWarnings("unchecked")
  static Map<String, Object> scores(GenericJson answer) {
    Map<String, Object> found = new LinkedHashMap<>();
    Map<String, Map<String, Map<String, Object>>> all =
        (Map<String, Map<String, Map<String, Object>>>) answer.get("attributeScores");
    all.forEach((name, each) -> found.put(name, each.get("summaryScore").get("value")));
    return found;
  }

  static Object batched(Service service, String text, String... attributes) throws Exception {
    BatchRequest batch = service.batch();
    Map<String, Object> found = new LinkedHashMap<>();
    for (String attribute : attributes) {
      service
          .call("analyze", asked(text, attribute))
          .queue(
              batch,
              new JsonBatchCallback<GenericJson>() {
                @Override
                public void onSuccess(GenericJson answer, HttpHeaders headers) {
                  found.putAll(scores(answer));
                }

                @Override
                public void onFailure(GoogleJsonError error, HttpHeaders headers) {
                  found.put("error", error.getMessage());
                }
              });
    }
    batch.execute();
    return found;
  }

  public static void main(String[] arguments) throws Exception {
    String text = arguments[1];
    Service service = new Service.Builder().build();
    GenericJson score = new GenericJson().set("summaryScore", new GenericJson().set("value", 1.0));
    GenericJson suggestion =
        asked(text).set("attributeScores", new GenericJson().set("TOXICITY", score)).set("clientToken", "token");
    suggestion.remove("requestedAttributes");
    Map<String, Callable<Object>> calls = new LinkedHashMap<>();
    calls.put("analyze", () -> scores(service.call("analyze", asked(text, "TOXICITY", "THREAT")).execute()));
    calls.put("suggestscore", () -> service.call("suggestscore", suggestion).execute().get("clientToken"));
    calls.put("batch", () -> batched(service, text, "TOXICITY", "INSULT"));
    calls.put("analyze, only FLIRTATION", () -> service.call("analyze", asked(text, "FLIRTATION")).execute());
    GenericJson found = new GenericJson();
    for (Map.Entry<String, Callable<Object>> each : calls.entrySet()) {
      try {
        found.set(each.getKey(), each.getValue().call());
      } catch (Exception error) {
        found.set(each.getKey(), new GenericJson().set("error", error.toString()));
      }
    }
    System.out.println(JacksonFactory.getDefaultInstance().toString(found));
  }
}
